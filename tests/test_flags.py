"""Flags: one bit each, a meaning each, and back again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from galmerge_da.flags import DOUBTFUL, FATAL, Flag, decode_flags, describe_flags


def test_every_flag_is_one_bit_with_a_meaning():
    table = describe_flags()
    assert [name for name, _, _ in table] == [flag.name for flag in Flag]
    assert all(bit.bit_count() == 1 and meaning for _, bit, meaning in table)
    assert [bit for _, bit, _ in table] == sorted({bit for _, bit, _ in table})


def test_the_bits_are_those_of_catalogues_already_written():
    assert {flag.name: flag.value for flag in Flag} == {
        "NOT_CLASSIFIED": 1,
        "UNREADABLE": 2,
        "BAD_SHAPE": 4,
        "BLANK": 8,
        "NONFINITE": 16,
        "MASKED": 32,
        "OFF_EDGE": 64,
        "TOO_SMALL": 128,
        "STRETCHED": 256,
        "RADIUS_MEASURED": 512,
        "RADIUS_UNKNOWN": 1024,
        "BANDS_MISSING": 2048,
        "NO_MORPHOLOGY": 4096,
        "PIXEL_SCALE_UNKNOWN": 8192,
        "PSF_UNMATCHED": 16384,
        "UNIT_DOUBTFUL": 32768,
        "PIXEL_SCALE_DIFFERS": 65536,
    }


@given(st.sets(st.sampled_from(list(Flag))))
def test_decoding_undoes_setting(flags):
    value = 0
    for flag in flags:
        value |= flag
    assert decode_flags(value) == [flag.name for flag in sorted(flags)]


@pytest.mark.parametrize("kind", [np.int32, np.int64, np.uint8, ">i4"])
def test_arrays_of_any_shape_are_decoded(kind):
    assert decode_flags(np.array([[0, 3], [64, 1]], kind)) == [
        [[], ["NOT_CLASSIFIED", "UNREADABLE"]],
        [["OFF_EDGE"], ["NOT_CLASSIFIED"]],
    ]
    assert decode_flags([]) == []


@pytest.mark.parametrize("value", [-1, 1 << 17, [0, 1 << 20]])
def test_bits_that_no_flag_owns_are_an_error(value):
    with pytest.raises(ValueError, match="has bits that no flag owns; known bits add up to 131071"):
        decode_flags(value)


@pytest.mark.parametrize("value", [1.5, "2", None, np.nan, [0.0, 1.0]])
def test_what_is_no_whole_number_is_an_error(value):
    with pytest.raises(ValueError, match="flags must be whole numbers"):
        decode_flags(value)


def test_masked_values_decode_to_nothing():
    assert decode_flags(np.ma.array([3, 64], mask=[True, False])) == [[], ["OFF_EDGE"]]


def test_fatal_flags_leave_nothing_to_classify():
    assert decode_flags(FATAL) == ["UNREADABLE", "BAD_SHAPE", "BLANK"]


def test_a_row_without_a_probability_is_no_sample():
    assert decode_flags(DOUBTFUL) == ["NOT_CLASSIFIED", "OFF_EDGE", "TOO_SMALL", "RADIUS_UNKNOWN", "BANDS_MISSING"]
