import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(5)
logits = torch.zeros(3,requires_grad=True)
rewards = torch.tensor([0.1,0.5,0.9])
base = 0.
for ep in range(50):
    p = F.softmax(logits,dim=0)
    a = torch.multinomial(p,1,replacement=True) if False else torch.argmax(torch.log(p.detach())-torch.log(-torch.log(torch.rand(3))))
    logp = torch.log(p[a])
    R = rewards[a]
    base = 0.9*base+0.1*R.item()
    loss = -(logp*(R-base))
    loss.backward()
    with torch.no_grad():
        logits -= 0.5*logits.grad
        logits.grad.zero_()
    if ep%10==0: print(ep, a.item(), [round(v,3) for v in p.tolist()])
logits
entropy = -(p*p.log()).sum()
entropy
