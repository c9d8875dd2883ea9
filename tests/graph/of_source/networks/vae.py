"""A variational autoencoder whose outputs are a dictionary."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, latent=3):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(4, 8, 3, 2, 1), nn.Tanh(), nn.Flatten()
        )
        self.mu, self.logvar = nn.Linear(32, latent), nn.Linear(32, latent)
        self.up = nn.Linear(latent, 32)
        self.decoder = nn.Sequential(
            nn.Unflatten(1, (8, 2, 2)),
            nn.ConvTranspose2d(8, 4, 4, 2, 1),
            nn.ELU(),
            nn.ConvTranspose2d(4, 1, 3, stride=2, padding=1, output_padding=1),
            nn.Sigmoid(),
        )

    def reparameterize(self, mu, logvar):
        if self.training:
            return mu + torch.randn_like(mu) * torch.exp(0.5 * logvar)
        return mu

    def forward(self, x):
        h = self.encoder(x)
        mu, logvar = self.mu(h), self.logvar(h)
        return {"out": self.decoder(self.up(self.reparameterize(mu, logvar))), "mu": mu, "logvar": logvar}
