import math

import numpy as np
import torch
import torch.nn.functional as F

torch.tensor(1.)
torch.tensor([])
torch.tensor([], dtype=torch.int64)
torch.empty(0,3)
torch.zeros(2,0)
torch.zeros(0,3,dtype=torch.double, requires_grad=True)
torch.zeros(0,3, requires_grad=True)*2
torch.arange(2000)
torch.arange(2000.).view(40,50)
torch.arange(24.).view(2,3,4)
torch.tensor([1e-5,1.])
torch.tensor([1e10,1.])
torch.tensor([1e5,123456.789])
torch.tensor([float('nan'),float('inf'),-float('inf'),1.])
torch.tensor([1.5,2.,1000.25])
torch.tensor(3.14159, requires_grad=True)
torch.tensor(3.14159, dtype=torch.double, requires_grad=True)
torch.tensor([True,False])
torch.tensor([[1,-2],[300,4]])
torch.tensor([1,2],dtype=torch.int32)
torch.tensor([1,2],dtype=torch.uint8)
torch.tensor(5,dtype=torch.int16)
torch.ones(3,3,3,3)
torch.ones(100)
torch.tensor([0.1]*30, requires_grad=True)*2
torch.tensor([[0.1]*30], requires_grad=True)*2
str(torch.tensor(2.5))
f"{torch.tensor(2.5):.3f}"
f"{torch.tensor(2.5)}"
f"{torch.tensor([2.5])}"
f"{torch.tensor([2.5]):.3f}"
f"{torch.tensor(2.5,requires_grad=True)*2}"
f"{torch.tensor(3)}", f"{torch.tensor(3):d}", f"{torch.tensor(3):5}"
"%f" % torch.tensor(2.5)
"%d" % torch.tensor(3)
"%s" % torch.tensor(3.)
"{:.2f}".format(torch.tensor(2.5))
torch.Size([2,3])
torch.ones(2,3).shape
torch.ones(2,3).size()
torch.ones(2,3).size(0), torch.ones(2,3).size(-1), torch.ones(2,3).size(dim=1)
torch.ones(2,3).size(5)
torch.float32, torch.double, torch.long, torch.bool, torch.half if False else 0
repr(torch.ones(2).dtype), torch.ones(2).type(), torch.ones(2).long().type()
torch.ones(2).type(torch.float64), torch.ones(2).type('torch.DoubleTensor'), torch.ones(2).type(torch.LongTensor)
torch.ones(2).device
torch.device('cpu'), torch.device('cpu').type
torch.ones(2).layout
torch.set_printoptions(precision=2)
torch.tensor([1.23456,2.])
torch.set_printoptions(sci_mode=True)
torch.tensor([1.23456,2.])
torch.set_printoptions(profile='default', sci_mode=False)
torch.set_printoptions(profile='default')
torch.set_printoptions(threshold=5, edgeitems=2)
torch.arange(10)
torch.set_printoptions(profile='full')
torch.set_printoptions(profile='default')
torch.set_printoptions(linewidth=120)
torch.rand(0)
torch.set_printoptions(profile='default')
torch.tensor(1e-10)
torch.tensor([1e-10, 2e-10])
torch.tensor(123456789.)
torch.tensor([0.,0.])
torch.tensor([-0.,0.])
torch.tensor([[1.,2.]],requires_grad=True).t()
torch.tensor([100000.,1.5])
torch.tensor([99999.5, 0.001])
torch.ones(2,2,1)
torch.zeros(1,1,1,1)
torch.tensor([1.0000001,2.])
torch.tensor(0.1+0.2, dtype=torch.float64)
torch.tensor([10000000.,2.])
print(torch.tensor([1.,2.]), torch.tensor(3))
print([torch.tensor(1.), torch.tensor([2.])])
{'a': torch.tensor(1.)}
torch.nn.functional.relu(torch.tensor([-1.,1.],requires_grad=True))
torch.finfo(torch.float32)
torch.finfo(torch.float32).eps, torch.finfo(torch.float64).tiny, torch.finfo(torch.float32).max, torch.finfo(torch.float32).min
torch.iinfo(torch.int64).max, torch.iinfo(torch.uint8).min
torch.get_default_dtype()
torch.set_default_dtype(torch.float64)
torch.tensor([1.5,2.])
torch.ones(2), torch.arange(3.), torch.tensor(2)/3
torch.tensor([1.5],dtype=torch.float32)
torch.set_default_dtype(torch.float32)
torch.ones(2)
