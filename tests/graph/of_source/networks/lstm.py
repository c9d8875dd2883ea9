"""A classifier of texts: two layers of LSTM in both directions, and attention over the steps."""

import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, hidden=4, layers=2):
        super().__init__()
        self.hidden, self.layers = hidden, layers
        self.embed = nn.Embedding(9, 6, padding_idx=0)
        self.rnn = nn.LSTM(6, hidden, layers, batch_first=True, bidirectional=True, dropout=0.2)
        self.attn, self.fc = nn.Linear(2 * hidden, 1), nn.Linear(4 * hidden, 3)

    def forward(self, x):
        h0 = torch.zeros(self.layers * 2, x.size(0), self.hidden).to(x.device)
        out, (h, c) = self.rnn(self.embed(x), (h0, torch.zeros_like(h0)))
        w = torch.softmax(self.attn(out).squeeze(-1), dim=1)
        pooled = torch.bmm(w.unsqueeze(1), out).squeeze(1)
        return self.fc(torch.cat([pooled, h[-2], h[-1]], dim=1))
