"""The guard: on the first batch, watch every tensor operation, and name those that no rule counts."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.hooks import RemovableHandle

from snn5bench.measure.fanout import SYNAPTIC
from snn5bench.measure.rules import feeds_back, reports, rule_for

_PRODUCTS = frozenset(
    "mm addmm bmm baddbmm mv addmv dot vdot matmul linear bilinear addr addbmm einsum _addmm_activation "
    "inner tensordot kron conv1d conv2d conv3d conv_transpose1d conv_transpose2d convolution _convolution "
    "convolution_overrideable mkldnn_linear mkldnn_convolution cudnn_convolution "
    "fft_fft fft_ifft fft_rfft fft_irfft fft_fft2 fft_rfft2 "
    "lstm gru rnn_tanh rnn_relu lstm_cell gru_cell rnn_tanh_cell rnn_relu_cell mkldnn_rnn_layer "
    "_thnn_fused_lstm_cell _thnn_fused_gru_cell _sparse_mm _sparse_addmm sspaddmm _fft_r2c _fft_c2r _fft_c2c "
    "embedding embedding_bag _embedding_bag _embedding_bag_forward_only _native_multi_head_attention "
    "scaled_dot_product_attention _scaled_dot_product_flash_attention _scaled_dot_product_flash_attention_for_cpu "
    "_scaled_dot_product_efficient_attention _scaled_dot_product_attention_math".split()
)
_POOLS = frozenset(
    "avg_pool1d avg_pool2d avg_pool3d max_pool1d max_pool2d max_pool2d_with_indices max_pool3d_with_indices "
    "mkldnn_max_pool2d adaptive_avg_pool2d _adaptive_avg_pool2d adaptive_max_pool2d".split()
)
_NORMS = frozenset(
    "native_batch_norm _native_batch_norm_legit_no_training _native_batch_norm_legit batch_norm native_layer_norm "
    "layer_norm native_group_norm group_norm".split()
)
UNSEEN = {
    **dict.fromkeys(_PRODUCTS, "synops_per_sample"),
    **dict.fromkeys(_POOLS, "pool_adds_per_sample"),
    **dict.fromkeys(_NORMS, "norm_macs_per_sample"),
}


class Guard(TorchDispatchMode):
    """Watches one forward pass, with a stack that tells which modules are running."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.paused = False
        self.missing: dict[str, str] = {}
        self.residual_adds: dict[str, int] = {}
        """Additions of two activations outside every layer, by module name: values in the watched batch."""
        self.touched: set[int] = set()
        """Addresses of the storages that any watched operation read."""
        self._stack: list[nn.Module] = []
        self._names = {module: name or "(root)" for name, module in model.named_modules()}
        self._handles: list[RemovableHandle] = []
        for module in model.modules():
            self._handles.append(module.register_forward_pre_hook(self._push))
            self._handles.append(module.register_forward_hook(self._pop, always_call=True))
        self.watching = False

    def start(self) -> None:
        """Begin to watch."""
        self.watching = True
        self.__enter__()

    def stop(self) -> None:
        """Stop for good, and take the hooks off."""
        if self.watching:
            self.watching = False
            self.__exit__(None, None, None)
        for handle in self._handles:
            handle.remove()
        self._handles.clear()

    def _push(self, module: nn.Module, inputs: Any) -> None:
        self._stack.append(module)

    def _pop(self, module: nn.Module, inputs: Any, output: Any) -> None:
        if self._stack and self._stack[-1] is module:
            self._stack.pop()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, after a look at it."""
        out = func(*args, **(kwargs or {}))
        if not self.paused and self._stack:
            self.touched.update(a.untyped_storage().data_ptr() for a in args if isinstance(a, Tensor))
            self._look(func.overloadpacket.__name__, args, out)
        return out

    def _look(self, op: str, args: tuple[Any, ...], out: Any) -> None:
        metric = UNSEEN.get(op)
        if metric is not None and not _product_is_counted(self._stack):
            where, module = self._names[self._stack[-1]], type(self._stack[-1]).__name__
            self.missing.setdefault(metric, f"{where} ({module}) calls {op} outside any module that can be counted")
        elif op in ("add", "add_", "sub", "sub_") and self._is_residual(args, out):
            name = self._names[self._stack[-1]]
            self.residual_adds[name] = self.residual_adds.get(name, 0) + out.numel()

    def _is_residual(self, args: tuple[Any, ...], out: Any) -> bool:
        """Two activations of the result's size, added by the code of a container."""
        operands = [a for a in args[:2] if isinstance(a, Tensor) and a.numel() == out.numel() and a.ndim > 1]
        if len(operands) < 2 or not out.is_floating_point() or reports(self._stack[-1]):
            return False
        return all((found := rule_for(module)) is None or found[0] == "operations" for module in self._stack)


def _product_is_counted(stack: list[nn.Module]) -> bool:
    """Whether a rule counts the products under these modules: a synaptic layer anywhere above (its weights may be
    computed on the way), or an innermost module that answers for its own operations."""
    inside = stack[-1]
    if any(isinstance(module, SYNAPTIC) for module in stack) or reports(inside) or feeds_back(inside):
        return True
    found = rule_for(inside)
    return found is not None and found[0] in ("pool", "norm")


def blind_spot(model: nn.Module, called: set[nn.Module], touched: set[int]) -> str:
    """The first module whose weights are used out of sight; empty where there is none.

    `called` are the modules that a rule counted, `touched` the storages that the watched operations read: weights that
    were read, but not by a call of the module that owns them, are used in a way that no rule counts.
    """

    def visit(module: nn.Module, name: str, answered: bool) -> str:
        own = [p for p in module.parameters(recurse=False) if p.untyped_storage().data_ptr() in touched]
        where = f"{name or '(root)'} ({type(module).__name__})"
        leaf = next(module.children(), None) is None
        answered = answered or reports(module) or feeds_back(module)
        if own and not answered:
            found = rule_for(module)
            if isinstance(module, SYNAPTIC) and module not in called:
                return f"{where} is not called, but its weights are used"
            if found is not None and found[0] == "neuron" and _hides_recurrence(module, own):
                return f"{where} has a square matrix that nothing counts; set `recurrent_weight` or define `operations`"
            if found is None and leaf and any(p.numel() > 1 for p in own):
                return f"{where} has parameters and is of no kind that can be counted; define `operations`"
        children = (visit(child, f"{name}.{key}" if name else key, answered) for key, child in module.named_children())
        return next(filter(None, children), "")

    return visit(model, "", False)


def _hides_recurrence(module: nn.Module, own: list[nn.Parameter]) -> bool:
    """Whether a neuron that says nothing about `recurrent_weight` (not even that it is None) has a square matrix."""
    return not hasattr(module, "recurrent_weight") and any(p.ndim == 2 and p.shape[0] == p.shape[1] for p in own)
