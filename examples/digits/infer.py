"""Load the trained weights and print the accuracy on the test images."""

from pathlib import Path

import torch
from data import digits
from model import Net

weights = Path(__file__).with_name("weights.pt")

model = Net()
model.load_state_dict(torch.load(weights, weights_only=True))
model.eval()

_, images, _, labels = digits()
with torch.no_grad():
    predictions = model(torch.from_numpy(images)).argmax(1).numpy()
print(f"test accuracy {(predictions == labels).mean():.4f}")
