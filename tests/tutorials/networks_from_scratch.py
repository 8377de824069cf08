import math

import numpy as np
import torch
import torch.nn.functional as F

import math
torch.manual_seed(0)
x_train = torch.randn(64,20); y_train = torch.randint(0,5,(64,))
weights = torch.randn(20,5)/math.sqrt(20)
weights.requires_grad_()
bias = torch.zeros(5,requires_grad=True)
def log_softmax(x): return x-x.exp().sum(-1).log().unsqueeze(-1)
def model(xb): return log_softmax(xb@weights+bias)
bs = 16
xb = x_train[0:bs]
preds = model(xb)
preds[0], preds.shape
print(preds[0], preds.shape)
def nll(input,target): return -input[range(target.shape[0]),target].mean()
loss_func = nll
yb = y_train[0:bs]
print(loss_func(preds,yb))
def accuracy(out,yb):
    preds = torch.argmax(out,dim=1)
    return (preds==yb).float().mean()
print(accuracy(preds,yb))
lr=0.5
for epoch in range(2):
    for i in range((64-1)//bs+1):
        xb = x_train[i*bs:i*bs+bs]; yb = y_train[i*bs:i*bs+bs]
        loss = loss_func(model(xb),yb)
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad*lr
            bias -= bias.grad*lr
            weights.grad.zero_()
            bias.grad.zero_()
print(loss_func(model(xb),yb), accuracy(model(xb),yb))
F.cross_entropy(xb@weights+bias,yb)
