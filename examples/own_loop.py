"""A training loop of your own, over the arena's data, with one of its models or yours."""

import torch
from torch.nn import functional
from torch.utils.data import DataLoader

import lra_bench

TASK, PROTOCOL, CHANGED = "text:difficulty=easy", "smoke", {"length": 256, "layers": 1}
train = lra_bench.dataset(TASK, "train", PROTOCOL, set=CHANGED)
test = lra_bench.dataset(TASK, "test", PROTOCOL, set=CHANGED)
model = lra_bench.build_model(TASK, "linear", "rope", PROTOCOL, set=CHANGED)
optimiser = torch.optim.AdamW(model.parameters(), lr=2e-3)

for epoch in range(2):
    model.train()
    for tokens, lengths, labels in DataLoader(train, 32, shuffle=True, collate_fn=train.collate):
        loss = functional.cross_entropy(model(tokens, lengths), labels)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    model.eval()
    right = 0
    with torch.inference_mode():
        for tokens, lengths, labels in DataLoader(test, 128, collate_fn=test.collate):
            right += int((model(tokens, lengths).argmax(dim=1) == labels).sum())
    print(f"epoch {epoch + 1}: test accuracy {right / len(test):.1%}")
