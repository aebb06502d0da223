"""Which input band becomes which channel."""

import warnings

import pytest

from galmerge_da.exceptions import InputError, InputWarning
from galmerge_da.preprocessing import match_bands


def test_the_same_names_are_reordered_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert match_bands(("g", "r", "i"), ("i", "r", "g")) == [2, 1, 0]
        assert match_bands(("u", "g", "r", "i", "z"), ("i", "g")) == [3, 1]
        assert match_bands(("x", "y"), None) == [0, 1]
        assert match_bands(4, None) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("given", "wanted", "order"),
    [
        (("g", "r", "z"), ("i", "r", "g"), [2, 1, 0]),
        (("z", "g", "r"), ("g", "r", "i"), [1, 2, 0]),
        (("F435W", "F160W", "F814W"), ("F814W", "F356W", "F160W"), [0, 1, 2]),
        (("B", "V", "I"), ("i", "r", "g"), [2, 1, 0]),
    ],
)
def test_other_names_are_matched_by_wavelength(given, wanted, order):
    with pytest.warns(InputWarning, match="by wavelength") as record:
        assert match_bands(given, wanted) == order
    assert len(record) == 1


def test_unknown_names_are_taken_in_order():
    with pytest.warns(InputWarning, match="in the order given: blue as g, red as r"):
        assert match_bands(("blue", "red"), ("g", "r")) == [0, 1]
    with pytest.warns(InputWarning, match="2 bands without names were taken in the order given: 0 as g, 1 as r"):
        assert match_bands(2, ("g", "r")) == [0, 1]


def test_another_number_of_bands_is_an_error():
    with pytest.raises(InputError, match=r"2 band\(s\) \(g, r\); expected the 3 band\(s\) i, r, g"):
        match_bands(("g", "r"), ("i", "r", "g"))
    with pytest.raises(InputError, match=r"1 band\(s\) \(without names\)"):
        match_bands(1, ("i", "r", "g"))


def test_names_that_differ_by_case_alone_are_told_so():
    told = "R, G, I differ from r, g, i only by case, .* name the bands r, g, i"
    with pytest.warns(InputWarning, match="taken by wavelength: G as g, R as r, I as i; " + told):
        assert match_bands(("R", "G", "I"), ("g", "r", "i")) == [1, 0, 2]
    with pytest.raises(InputError, match=r"have 4 band\(s\) \(R, G, I, Z\); expected .* g, r, i; " + told):
        match_bands(("R", "G", "I", "Z"), ("g", "r", "i"))
    with pytest.warns(InputWarning, match="B as g, V as r$"):
        match_bands(("B", "V"), ("g", "r"))
