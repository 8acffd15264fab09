"""Names that stay: automatic numbers become ranks, and equal paths are told apart."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping


def snake_case(class_name: str) -> str:
    """The base of the name that Keras gives to an unnamed object of this class.

    >>> [snake_case(name) for name in ("Conv2D", "BatchNormalization", "LSTMCell", "PReLU", "Conv2DTranspose")]
    ['conv2d', 'batch_normalization', 'lstm_cell', 'p_re_lu', 'conv2d_transpose']
    """
    name = re.sub(r"\W+", "", class_name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def automatic_number(name: str, class_name: str) -> tuple[str, int] | None:
    """Base and number of an automatically given ``name``, None if somebody chose it.

    ``Bidirectional`` derives the names of its two layers from an automatic one; these count as automatic too.

    >>> automatic_number("conv2d_42", "Conv2D"), automatic_number("conv2d", "Conv2D")
    (('conv2d', 42), ('conv2d', 0))
    >>> automatic_number("forward_lstm_3", "LSTM")
    ('forward_lstm', 3)
    >>> automatic_number("conv1_conv", "Conv2D")
    """
    base = re.escape(snake_case(class_name))
    if class_name == "InputLayer":
        base = "input|input_layer"  # tf_keras calls it input_1
    match = re.fullmatch(rf"((?:forward_|backward_)?(?:{base}))(?:_(\d+))?", name)
    return (match[1], int(match[2] or 0)) if match else None


def ranks(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Each automatic name -> base and rank, counted from 0 in the order of the automatic numbers.

    Keras numbers unnamed layers through the life of a process, so that the same layer is ``conv2d`` in the first
    model and ``conv2d_94`` in the next. What stays is its place among the model's own layers of that base name.

    Args:
        named: Name and class name of every layer of one model.

    >>> ranks([("conv2d_95", "Conv2D"), ("conv2d_94", "Conv2D"), ("head", "Dense")])
    {'conv2d_94': 'conv2d[0]', 'conv2d_95': 'conv2d[1]'}
    """
    numbers: dict[str, dict[int, str]] = defaultdict(dict)
    for name, class_name in named:
        automatic = automatic_number(name, class_name)
        if automatic is not None:
            base, number = automatic
            numbers[base][number] = name
    return {
        names[number]: f"{base}[{rank}]" for base, names in numbers.items() for rank, number in enumerate(sorted(names))
    }


def address(path: str, layers: Mapping[str, str], variables: Mapping[str, str] | None = None) -> str:
    """``path`` with its automatic components replaced by their ranks.

    Args:
        path: Scopes and name, ``/`` between them.
        layers: What :func:`ranks` gives for the layers; applies to every component.
        variables: The same for unnamed variables (``variable_17``); applies to the last component alone.

    >>> address("block/dense_7/kernel", {"dense_7": "dense[0]"})
    'block/dense[0]/kernel'
    """
    *scopes, last = path.split("/")
    own = layers if variables is None else variables
    return "/".join([*(layers.get(scope, scope) for scope in scopes), own.get(last, last)])


def told_apart(names: Iterable[str]) -> list[str]:
    """``names``, with ``#2``, ``#3`` ... behind the second, third ... use of one name.

    >>> told_apart(["a/kernel", "b/kernel", "a/kernel"])
    ['a/kernel', 'b/kernel', 'a/kernel#2']
    """
    seen: Counter[str] = Counter()
    result = []
    for name in names:
        seen[name] += 1
        result.append(name if seen[name] == 1 else f"{name}#{seen[name]}")
    return result
