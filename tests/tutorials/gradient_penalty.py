import math

import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(2)
D = [torch.randn(2,16).mul(0.5).requires_grad_(), torch.zeros(16).requires_grad_(), torch.randn(16,1).mul(0.5).requires_grad_()]
def disc(x): return F.leaky_relu(x@D[0]+D[1], 0.2)@D[2]
for it in range(3):
    real, fake = torch.randn(8,2)+2, torch.randn(8,2)
    alpha = torch.rand(8,1)
    interp = (alpha*real+(1-alpha)*fake).requires_grad_(True)
    d_i = disc(interp)
    g = torch.autograd.grad(outputs=d_i, inputs=interp, grad_outputs=torch.ones_like(d_i), create_graph=True, retain_graph=True, only_inputs=True)[0]
    gp = ((g.norm(2, dim=1)-1)**2).mean()
    loss = disc(fake).mean()-disc(real).mean()+10*gp
    loss.backward()
    print(it, f"{loss.item():.4f} {gp.item():.4f}")
    with torch.no_grad():
        for p in D:
            p -= 0.05*p.grad
            p.grad.zero_()
D[2].flatten()
gp
loss
