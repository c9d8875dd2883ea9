"""The handwritten digits that come with scikit-learn: 1,797 images of 8 x 8 pixels."""

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split


def digits() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return training images, test images (n, 1, 8, 8; values 0 to 1), training and test labels (n,)."""
    images, labels = load_digits(return_X_y=True)
    images = (images.reshape(-1, 1, 8, 8) / 16).astype(np.float32)
    return tuple(train_test_split(images, labels, test_size=360, random_state=0, stratify=labels))
