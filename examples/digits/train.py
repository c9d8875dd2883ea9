"""Train the network with PyTorch; write weights.pt and, to compare with, expected.npz.

python examples/digits/train.py
"""

from pathlib import Path

import numpy as np
import torch
from data import digits
from model import Net
from torch import nn

HERE = Path(__file__).parent


def main() -> None:
    torch.manual_seed(0)
    train_images, test_images, train_labels, test_labels = digits()
    images, labels = torch.from_numpy(train_images), torch.from_numpy(train_labels)
    model = Net()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    for epoch in range(30):
        model.train()
        for batch in torch.randperm(len(images)).split(64):
            loss = nn.functional.cross_entropy(model(images[batch]), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        print(f"epoch {epoch:2d}  loss {loss.item():.4f}")
    model.eval()
    with torch.no_grad():
        logits = model(torch.from_numpy(test_images)).numpy()
    accuracy = float((logits.argmax(1) == test_labels).mean())
    print(f"test accuracy {accuracy:.4f}")
    torch.save(model.state_dict(), HERE / "weights.pt")
    np.savez(HERE / "expected.npz", logits=logits, accuracy=np.float64(accuracy))


if __name__ == "__main__":
    main()
