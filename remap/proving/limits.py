"""Every number that the proof was tuned with, and why it is that one.

Relative numbers are of the largest absolute value, unless they say otherwise.
"""

from __future__ import annotations

TINY = 1e-30
"""Below it a sum of squares in single precision tells nothing: the squares themselves have run out of exponent."""

FLOOR = 2e-6
"""What is no finding in any layer, in single precision: right conversions were measured from 5e-7 on (ConvNeXt)."""
NOISE_FACTOR = 16.0
"""Allowed for each unit of PyTorch's own rounding error: Keras sums in another order and rounds as much again, and more
where it computes a layer in other steps; silent mistakes were measured at 10 000 times what right conversions show."""
FLOOR_UNMEASURED = 1e-5
"""What is no finding where PyTorch's rounding error could not be measured."""
PER_LAYER = 1e-6
"""Allowed for every layer before, likewise: a ResNet-50 was measured at 2e-5, a ResNet-152 at 1.5e-4."""
FLOOR_64 = 1e-11
"""What is no finding in double precision; exact conversions were measured at 1e-16 to 5e-13."""
PER_LAYER_64 = 1e-12
"""Allowed for every layer before, in double precision."""

BLIND = 1e-3
"""Outputs that move by less than this, relative to their size, when the input changes tell nothing."""
SEEN = 100.0
"""How many times further than they are apart the outputs must move for a comparison to mean something."""
NEARLY = 1e-5
"""Relative difference in double precision that single precision would hide."""

NEIGHBOURS = 4
"""How many rows before an unexplained divergence are looked at: a block of a network rarely has more layers."""
CLOSELY = 0.01
"""Share of the tolerance in double precision that tells values apart which differ by a rounded constant only."""
JUST = 4
"""A row is equal only just where it is within the tolerance but not within a fourth of it."""

NEAR = 0.1
"""A value that is no further off than this, relative to the largest, is taken for the same one made less well."""
LONGEST = 60
"""A chain of Keras calls longer than this is not walked back: it is no place any more, but half a network."""
RECENT = 8
"""Factors of a product are looked for among so many values of its shape that calls gave right before it: more pairs
would be tried than a gated network has branches."""

MOST_EXCHANGES = 24
"""Weights of so many other layers are tried in the place of a layer's own: those that PyTorch gives the same input come
first, and so the right ones hardly ever come late."""
MOST_ROUNDS = 24
"""The run on PyTorch's values is made again where exchanged layers come to light, so often at most: each is one run of
the model and tells two layers, as a rule, which have each other's weights."""

MOST_DIVISIONS = 2000
"""Ways to split an axis into factors and write them in another order: 25088, VGG's, has some hundred of three."""

MOST_SETTINGS = 4
"""So many settings of a window are changed together at most: more that are wrong at once make another layer of it."""

ALIKE = 1e-5
"""An activation is the one that was called where it gives what the call gave to within this, value by value."""
ALIKE_FLOOR = 1e-6
"""Likewise for values near zero, of the largest value or of 1."""
REPRODUCED = 1e-13
"""A value in double precision is the same as another where they are no further apart."""
SAME_ROWS = 1e-6
"""Rows of a table are those that a call gave where they are no further apart: they were copied, or cast at most."""

SAME_ATTENTION = (1e-3, 1e-5)
"""Attention in numpy is what a network computes where it is no further off, relative and absolute: scales and masks
that differ are apart by far more, sums in single precision by less."""
SAME_ATTENTION_EXACT = (1e-11, 1e-13)
"""Likewise in double precision, where a scale that was rounded to single precision is to be told from one that was
not: those are apart by 1e-8."""
LOWEST = -1e30
"""What a mask adds to the score of a key that a query does not see: exp of it is 0 in every precision."""
HIDDEN = -5e3
"""A score below it is a masked one, whatever number the mask adds: -1e4 is the smallest that networks use."""

SERIES = 1e-4
"""Frequencies of rotary positions are a geometric series where none is further off it, relative to itself."""
SAME_PIXELS = 1e-4
"""An interpolation in numpy is Keras's own where it is no further off: another coefficient moves every edge by more."""

FACTOR = 1e-6
"""A factor nearer to 1 than this explains nothing that a tolerance would not hide."""
FEWEST = 4
"""Numbers that a factor and an offset are told from: they lead through two always, through four hardly by chance."""
NO_SHIFT = 1e-6
"""A shift smaller than this is none: it is what a fit leaves over."""
