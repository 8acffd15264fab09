"""What a pickle may name: the few globals that make tensors, the many that stay inert, those that end the reading.

Nothing here imports or calls what a pickle names. The table of constructors is the whole of what can run.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from remap.formats.pickles.inert import Constructor
from remap.formats.tree import Foreign, Global, Quantized, Refused, StorageRef, TensorView
from remap.tensors.dtypes import NAMES, dtype_of


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


DANGEROUS_MODULES = _words(
    """
    os posix nt subprocess sys importlib imp pkgutil runpy pty socket shutil ctypes _ctypes cffi
    commands popen2 webbrowser code codeop pdb bdb timeit cProfile profile trace marshal pickle _pickle signal
    asyncio multiprocessing threading _thread http urllib urllib2 httplib requests ftplib smtplib telnetlib xmlrpc
    tempfile zipimport site pip setuptools ensurepip venv IPython
    """
)

# Modules without submodules, whose names people also give to packages of their own: code.models.Net is harmless.
ALSO_PROJECTS = _words("code commands profile trace signal site")

# Reachable as attributes of harmless modules: torch.os.system.
INNER_MODULES = _words("os posix nt subprocess sys builtins")

DANGEROUS = _words(
    """
    builtins.eval builtins.exec builtins.compile builtins.open builtins.input builtins.__import__ builtins.breakpoint
    builtins.globals builtins.locals builtins.vars builtins.setattr builtins.delattr builtins.exit builtins.quit
    builtins.help builtins.execfile builtins.file builtins.apply builtins.reload
    io.open io.open_code io.FileIO _io.open _io.open_code _io.FileIO codecs.open
    operator.attrgetter operator.methodcaller operator.itemgetter
    _operator.attrgetter _operator.methodcaller _operator.itemgetter
    types.CodeType types.FunctionType types.LambdaType types.MethodType types.ModuleType
    numpy.load numpy.fromfile numpy.testing._private.utils.runstring
    torch.load torch.hub.load torch.jit.load torch.serialization.load torch._inductor.codecache.compile_file
    """
)

_DTYPES = {
    "double": "float64",
    "float": "float32",
    "half": "float16",
    "long": "int64",
    "int": "int32",
    "short": "int16",
    "cfloat": "complex64",
    "cdouble": "complex128",
}
_FOREIGN_DTYPES = _words(
    "float8_e4m3fnuz float8_e5m2fnuz float8_e8m0fnu float4_e2m1fn_x2 complex32 chalf "
    "quint8 qint8 qint32 quint4x2 quint2x4 bits1x8 bits2x4 bits4x2 bits8 bits16 "
    "int1 int2 int3 int4 int5 int6 int7 uint1 uint2 uint3 uint4 uint5 uint6 uint7"
)
_STORAGES = {
    "DoubleStorage": "float64",
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ShortStorage": "int16",
    "CharStorage": "int8",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
    "ComplexFloatStorage": "complex64",
    "ComplexDoubleStorage": "complex128",
    "QInt8Storage": "int8",
    "QUInt8Storage": "uint8",
    "QInt32Storage": "int32",
    "UntypedStorage": "uint8",
}
_UNREADABLE_STORAGES = ("QUInt4x2Storage", "QUInt2x4Storage", "ComplexHalfStorage")


class ElementType:
    """A torch dtype or storage class; ``dtype`` is None for one that numpy cannot hold."""

    __slots__ = ("dtype", "name")

    def __init__(self, name: str, dtype: np.dtype | None) -> None:
        self.name = name
        self.dtype = dtype


def find(module: str, name: str) -> Any:
    """What stands for a global in the machine."""
    known = ALLOWED.get((module, name))
    return Global(f"{'builtins' if module == '__builtin__' else module}.{name}") if known is None else known


def is_dangerous(name: str) -> bool:
    """Whether no honest checkpoint has a use for the global called ``name``.

    >>> is_dangerous("os.system"), is_dangerous("argparse.Namespace")
    (True, False)
    """
    first, *inner = name.split(".")
    if first in DANGEROUS_MODULES:
        return len(inner) == 1 or first not in ALSO_PROJECTS
    return name in DANGEROUS or not INNER_MODULES.isdisjoint(inner[:-1])


def _plain(ref: Any, offset: Any, size: Any, stride: Any, *rest: Any) -> Any:
    if type(ref) is not StorageRef:
        raise TypeError("tensor without a storage")
    if ref.dtype is None:
        return Refused(f"tensor of {ref.dtype_name}, which is not supported")
    if len(rest) > 2 and (reason := _pending(rest[2])):
        return Refused(reason)
    return TensorView(ref, offset, size, stride)


def _typed(ref: Any, offset: Any, size: Any, stride: Any, grad: Any, hooks: Any, dtype: Any, *rest: Any) -> Any:
    if type(ref) is not StorageRef or type(dtype) is not ElementType:
        raise TypeError("tensor without a storage or dtype")
    if dtype.dtype is None:
        return Refused(f"tensor of {dtype.name}, which is not supported")
    if rest and (reason := _pending(rest[0])):
        return Refused(reason)
    return TensorView(ref, offset, size, stride, dtype.dtype)


def _pending(metadata: Any) -> str:
    """Why a tensor's bytes are not its values: torch can put off conjugation and negation."""
    pending = [word for word in ("conj", "neg") if type(metadata) is dict and metadata.get(word)]
    return f"view with a pending {' and '.join(pending)}: save it with .resolve_{pending[0]}()" if pending else ""


def _quantized(ref: Any, offset: Any, size: Any, stride: Any, params: Any, *rest: Any) -> Any:
    view = _plain(ref, offset, size, stride)
    scheme = params[0] if type(params) is tuple and params else None
    name = scheme.name if type(scheme) is Global else ""
    if type(view) is TensorView and name == "torch.per_tensor_affine":
        return Quantized(view, params[1], params[2])
    if type(view) is TensorView and name in ("torch.per_channel_affine", "torch.per_channel_affine_float_qparams"):
        return Quantized(view, params[1], params[2], params[3])
    return Refused(f"quantised tensor of scheme {name or '?'}, which is not supported")


def _retyped(function: Any, kind: Any, args: Any, *rest: Any) -> Any:
    """A tensor of a subclass, or one with attributes: the plain tensor below."""
    if type(function) is not Constructor or type(args) is not tuple:
        return Foreign("tensor of a foreign class", (kind, args))
    return function.call(*args)


def _refuse(kind: str) -> Constructor:
    return Constructor(kind, lambda *args: Refused(f"{kind} tensor: only plain dense tensors are read"))


def _instance(kind: Any, *args: Any) -> Foreign:
    return Foreign(kind.name if type(kind) is Global else "object", args)


def _mapping(*args: Any) -> dict[Any, Any]:
    """A dict of another class; one pickled by protocol 0 or 1 comes with a list of pairs."""
    pairs = args[-1] if args and type(args[-1]) is list else []
    return {pair[0]: pair[1] for pair in pairs if type(pair[0]) is str}


_CONSTRUCTORS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _mapping,
    ("collections", "defaultdict"): _mapping,
    ("torch._utils", "_rebuild_tensor"): _plain,
    ("torch._utils", "_rebuild_tensor_v2"): _plain,
    ("torch._utils", "_rebuild_tensor_v3"): _typed,
    ("torch._utils", "_rebuild_parameter"): lambda data, *rest: data,
    ("torch._utils", "_rebuild_parameter_with_state"): lambda data, *rest: data,
    ("torch._utils", "_rebuild_device_tensor_from_cpu_tensor"): lambda data, *rest: data,
    ("torch.nn.parameter", "Parameter"): lambda data=None, *rest: data,
    ("torch.nn.parameter", "Buffer"): lambda data=None, *rest: data,
    ("torch._tensor", "_rebuild_from_type_v2"): _retyped,
    ("torch._tensor", "_rebuild_from_type"): _retyped,
    ("torch._utils", "_rebuild_qtensor"): _quantized,
    ("torch", "Size"): lambda size=(), *rest: size,
    ("copyreg", "_reconstructor"): _instance,
    ("copy_reg", "_reconstructor"): _instance,
    ("copyreg", "__newobj__"): _instance,
}

_REFUSED = {
    "_rebuild_sparse_tensor": "sparse",
    "_rebuild_sparse_csr_tensor": "sparse",
    "_rebuild_nested_tensor": "nested",
    "_rebuild_meta_tensor_no_storage": "meta",
    "_rebuild_wrapper_subclass": "wrapped",
    "_rebuild_device_tensor_from_numpy": "device",
}

ALLOWED: dict[tuple[str, str], Any] = {
    **{key: Constructor(".".join(key), function) for key, function in _CONSTRUCTORS.items()},
    **{("torch._utils", name): _refuse(kind) for name, kind in _REFUSED.items()},
    **{("torch", name): ElementType(f"torch.{name}", dtype_of(name)) for name in NAMES},
    **{("torch", short): ElementType(f"torch.{name}", dtype_of(name)) for short, name in _DTYPES.items()},
    **{("torch", name): ElementType(f"torch.{name}", None) for name in _FOREIGN_DTYPES},
    **{
        (module, name): ElementType(f"{module}.{name}", dtype_of(dtype))
        for name, dtype in _STORAGES.items()
        for module in ("torch", "torch.storage", "torch.cuda")
    },
    **{("torch", name): ElementType(f"torch.{name}", None) for name in _UNREADABLE_STORAGES},
}
