"""The arithmetic of the cost model, by hand."""

import pytest

from benchmarks import scaling

DEV = """Inter-|   Receive                  |  Transmit
 face |bytes    packets errs drop |bytes packets
    lo: 123456     99    0    0  123456    99
  eth0: 7 1 0 0 8 1
"""


def test_each_worker_of_a_ring_sends_its_gradients_nearly_twice():
    assert scaling.ring_bytes(2, 1000) == 4000  # half of them twice
    assert scaling.ring_bytes(4, 1000) == 6000
    assert scaling.ring_bytes(8) == pytest.approx(184e6, rel=1e-3)  # 26.3 M x 4 bytes x 14 / 8


def test_efficiency_is_the_share_of_computing():
    link = scaling.Link("", 2, 26_285_486 * 4, 0.5, 3.0)  # 1 s of transfer, 2 messages of 0.5 s
    assert scaling.efficiency(link) == pytest.approx(3 / 5)
    assert scaling.efficiency(link._replace(workers=1)) == 1


def test_bytes_are_those_received_by_the_loopback_device():
    assert scaling.loopback_bytes(DEV) == 123456
    assert scaling.loopback_bytes("eth0: 7") == 0
