import pytest

from holdfast.relay.limits import Doors, RelayLimits


def test_doors_count_in_total_and_by_address_and_forget_who_left() -> None:
    doors = Doors(RelayLimits(connections=3, connections_per_address=2))
    assert doors.enter("one") == doors.enter("one") == ""
    assert "this address has all the 2" in doors.enter("one")
    assert doors.enter("two") == ""
    assert "this relay has all the 3" in doors.enter("three")
    doors.leave("one")
    assert doors.enter("three") == ""
    doors.leave("two")
    doors.leave("three")
    doors.leave("one")
    assert not doors._by_network


def test_the_part_of_an_ipv6_address_that_one_chooses_freely_does_not_count() -> None:
    doors = Doors(RelayLimits(connections_per_address=2))
    assert doors.enter("2001:db8::1") == doors.enter("2001:db8::2%eth0") == ""
    assert "this address has all" in doors.enter("2001:db8::3")
    assert doors.enter("2001:db8:0:1::3") == ""


@pytest.mark.parametrize("address", ["one", ""])
def test_a_refused_connection_is_not_counted(address: str) -> None:
    doors = Doors(RelayLimits(connections=1))
    doors.enter("first")
    for _ in range(3):
        assert doors.enter(address)
    doors.leave("first")
    assert doors.enter(address) == ""
