"""More expressions of tensors, in the form of `tensor_expressions`: order, scattering, layers, losses and their kin."""
from __future__ import annotations

ELEMENTWISE = """
v.acos() ; v.asin() ; x.asinh() ; (p + 1).acosh() ; v.atanh() ; x.exp2() ; p.log2() ; p.log10() ; x.erfc() ; v.logit()
x.deg2rad() ; x.sinc() ; torch.lerp(x, y, 0.3) ; torch.lerp(x, y, 0.7) ; torch.lerp(x, y, p) ; x.addcmul(y, p, value=0.5)
x.addcdiv(y, p, value=0.5) ; torch.hypot(x, y) ; torch.xlogy(p, p) ; torch.fmax(x, y) ; torch.copysign(x, y)
torch.logaddexp2(x, y) ; x.clamp_min(0.1) ; x.clamp_max(0.1) ; torch.clamp(x, min=y) ; torch.round(x, decimals=1)
x.isnan() ; x.isfinite() ; x.signbit() ; torch.isclose(x, y) ; i << 2 ; 7 % i ; 7 // i ; x.nan_to_num() ; (x * 1).exp_()
(x * 1).clamp_(-1, 1) ; (x * 1).sigmoid_() ; (x * 1).masked_fill_(x > 0, 2.0) ; (x * 1).pow_(2) ; (x * 1).t()[0].mul_(2)
(x * 1).addcmul_(y, y, value=2) ; (x * 1).lerp_(y, 0.25) ; (p * 1).sqrt_() ; (x * 1).cumsum_(0)
(x * 4).erfc() ; torch.xlogy(p.floor(), p.detach()) ; p.lgamma() ; torch.digamma(p + 0.1) ; torch.polygamma(2, p + 0.1)
torch.rsub(x, y, alpha=3) ; torch.rsub(x, 2, alpha=3) ; x.detach().sgn() ; torch.fmod(x * (x > 0), 0.7) ; i.isfinite()
torch.special.log_ndtr(x * 4) ; torch.special.entr(v) ; torch.special.xlog1py(v, v) ; torch.special.gammaln(i + 3)
"""

ORDER = """
x.sort()[0] ; x.sort(0, descending=True)[0] ; x.sort()[1] ; x.argsort(0) ; x.topk(2)[0] ; x.topk(2, largest=False)[1]
x.topk(1, dim=0)[0] ; x.kthvalue(2)[0] ; x.median() ; torch.tensor([1.0, 3.0, 3.0, 3.0, 5.0]).median() ; x.median(1)[0]
x.mode(1)[0] ; x.cummax(1)[0] ; x.cummin(0)[1] ; x.logcumsumexp(1) ; x.nansum(1) ; x.diff()
x.quantile(0.3) * 1 * 1 ; x.quantile(torch.tensor([0.3]), 1, True) * 1 * 1
(x.detach() / (x > -1) - torch.inf).quantile(0.5, 1)
torch.unique(i * i % 3) ; torch.bincount(i) ; torch.searchsorted(v.detach().sort()[0], x.detach()) ; (s * v / v).median()
torch.bincount(i.abs(), v.detach()[:3]) ; torch.searchsorted(x.detach().sort()[0], y.detach())
torch.histc(v.detach(), 4, 0.3, 0.3)
"""

SCATTER = """
x.scatter(1, k[:, :1], 9.0) ; x.scatter(1, k[:, 1:3], y[:, :2] * 1) ; x.scatter_add(1, k, y) ; x.index_add(0, j, y) ; x.take(j)
x.index_add(1, j, y[:, :3], alpha=2) ; x.index_copy(0, j, y) ; x.index_fill(1, j, 5.0) ; x.index_put((j, j), v[:3])
x.index_put((j, j * 0), v[:3], accumulate=True) ; x.masked_scatter(x > 0, y)
b[torch.tensor(0), :, j] ; b[0, :, j] ; b[:, torch.tensor(1), j] ; b[torch.tensor(1), None, j[:1]] ; x[torch.tensor(True)]
b.masked_select(x > 0) ; x[0].masked_fill(x > 0, 2.0) ; x[torch.tensor([1, 0, 1], dtype=torch.uint8)]
s.index_select(0, j[1:2])
(i * 3 - 8).scatter_reduce(0, j[1:2] * 0, i, 'mean') ; torch.hann_window(1, False)
x.scatter_reduce(1, k, y, 'sum') ; (x > 0).nonzero() ; x[True] ; x[False] ; x[range(2), j[:2]] ; x[:]
"""

ARRANGE = """
x.tril() ; b.triu(1) ; torch.diag(v) ; x.diag(1) ; b.diagonal(1, 2, 0) ; x.t().diagonal() ; v.diag_embed()
b.movedim(0, -1) ; x.rot90() ; x.tile(2) ; x.repeat_interleave(2, 1) ; x.unfold(1, 2, 1) ; torch.hstack([x, x])
torch.column_stack([v, v]) ; torch.meshgrid(v, v, indexing='xy')[0] ; torch.cross(b[..., :3], b[..., 1:], -1)
torch.einsum('ij,j', x, v) ; x.mT ; torch.einsum('ij->ji', x) ; torch.einsum('ii->i', x[:, :3])
torch.einsum('bij,bkj->bk', b, b) ; torch.einsum('...i,i->...', b, v) ; torch.einsum('i,j->ij', v, v)
torch.einsum('i,ij,j->', x[:, 0], x, v) ; torch.tensordot(b, x, 2) ; torch.baddbmm(b @ b.mT, b, b.mT) ; torch.inner(v, v)
torch.linalg.inv(x[:, :3]) ; torch.linalg.solve(x[:, :3], x) ; torch.linalg.matrix_norm(x)
torch.linalg.solve(b[:, :2, :2], b[:, :2, 3]) ; torch.cross(x, y) ; torch.linalg.cross(x[:, :3], y[:, :3])
torch.trapezoid(x, v[:3].detach(), dim=0) * 1 * 1 ; torch.diff(x, 5) ; x.tensor_split([3, 1], 1)[2]
torch.matrix_power(x[:, :3], 2)
torch.addmm(torch.tensor([torch.nan]), x, x.t(), beta=0) ; torch.baddbmm(b @ b.mT * torch.nan, b, b.mT, beta=0, alpha=2)
torch.linalg.cholesky(x @ x.t()) ; torch.linalg.eigh(x @ x.t())[0] ; torch.linalg.eigh(x @ x.t()).eigenvectors.abs()
torch.linalg.eigvalsh(x[:, :3], 'U') ; torch.linalg.svd(x, False).U.abs() ; torch.linalg.svdvals(b) ; torch.linalg.norm(x, 2)
torch.linalg.qr(x.t()).Q.abs() ; torch.linalg.slogdet(x[:, :3]).logabsdet
torch.linalg.norm(b, 'nuc', (0, 2), True) * 1 * 1
"""

ACTIVATIONS = """
F.celu(x, 0.5) ; F.mish(x) ; F.hardswish(x * 3) ; F.hardsigmoid(x * 3) ; F.softsign(x) ; F.tanhshrink(x) ; F.softshrink(x)
F.hardshrink(x) ; F.threshold(x, 0.1, 20.0) ; F.softmin(x, 1) ; F.glu(x) ; F.prelu(x, v) ; F.prelu(x, v[:1])
F.normalize(x)
"""

LAYERS = """
F.conv1d(b, w[:3, :3].reshape(1, 3, 3)) ; F.conv1d(b, w[:4, :3].reshape(2, 3, 2), v[:2], stride=2, padding=1)
F.conv2d(b[None], w.reshape(2, 2, 5, 1)[..., :2, :], v[:2], padding=1)
F.conv2d(b, w.reshape(2, 1, 2, 5)[..., :2], groups=2)
F.conv_transpose2d(b[None], w.reshape(2, 2, 5, 1)[:, :, :3], stride=2, padding=1) ; F.max_pool2d(b, 2)
F.avg_pool2d(b, 2, 1, 1) ; F.max_pool2d(b, 3, 2, 1) ; F.max_pool1d(b, 2) ; F.avg_pool1d(b, 3, 1)
F.adaptive_avg_pool2d(b, (2, 3)) ; F.unfold(b[None], 2) ; F.layer_norm(b, (4,), v) ; F.group_norm(w.view(1, 4, 5), 2)
F.batch_norm(b, None, None, training=True) ; F.embedding(k, x.t()) ; F.embedding(j, x, padding_idx=0) ; F.pad(x, (1, 2))
F.pad(b, (1, 2), mode='reflect') ; F.pad(b, (1, 2), mode='replicate') ; F.pad(x, (-1, 1), value=3.0)
F.interpolate(b[None], scale_factor=2) ; F.one_hot(j, 4)
"""

LOSSES = """
F.cross_entropy(x, j, weight=v.detach(), label_smoothing=0.1)
F.cross_entropy(x, torch.tensor([1, -100, 2]), label_smoothing=0.1)
F.cross_entropy(x, j, weight=v.detach(), label_smoothing=0.2, reduction='none')
F.cross_entropy(x, y.softmax(1), reduction='sum') ; F.cross_entropy(x, y.softmax(1), label_smoothing=0.1)
F.cross_entropy(x, y.detach().softmax(1), weight=v.detach())
F.cross_entropy(b, torch.tensor([[0, 1, 2, 0], [2, 2, 1, 1]]), reduction='none') ; F.kl_div(x, y.softmax(1))
F.kl_div(x, y, log_target=True) ; F.poisson_nll_loss(x, p) ; F.gaussian_nll_loss(x, y, p)
F.margin_ranking_loss(x, y, (p > 1) * 2.0 - 1.0, margin=0.1) ; F.soft_margin_loss(x, (y.detach() > 0) * 2.0 - 1.0)
F.multi_margin_loss(x, j) ; F.multilabel_soft_margin_loss(x, (y > 0).float())
F.binary_cross_entropy(v, p.detach()[0].clamp(0, 1), weight=p.detach()[1])
"""

GROUPS = {
    "elementwise": ELEMENTWISE, "order": ORDER, "scatter": SCATTER, "arrange": ARRANGE, "activations": ACTIVATIONS,
    "layers": LAYERS, "losses": LOSSES,
}  # fmt: skip
