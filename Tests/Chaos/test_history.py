#!/usr/bin/env python3
"""The checker sees: each broken promise is planted once, and found.    python3 Tests/Chaos/test_history.py"""

import unittest

from history import History, Violation

GROUP = "group"


def entry(seq, cid, text="hello", sender="ann", at=1000):
    return {"seq": str(seq), "cid": cid, "from": sender, "atMs": str(at + seq), "message": {"text": text}}


class CheckerTests(unittest.TestCase):
    def setUp(self):
        self.history = History()
        self.history.begin(GROUP, 0)
        self.sends = {}

    def say(self, cid, seq=None):
        """Sends, and is acknowledged when there is a seq."""
        send = self.sends[cid] = self.history.invoke(GROUP, "ann", cid, "hello")
        if seq:
            self.history.acknowledge(send, 1, seq, False)
        return send

    def check(self, *entries):
        self.history.check_log(GROUP, list(entries), "node 2")
        self.history.check_order()

    def test_what_holds_is_accepted(self):
        self.say("a", 1), self.say("b"), self.say("c", 3)
        self.check(entry(1, "a"), entry(2, "b"), entry(3, "c"))

    def test_what_was_never_acknowledged_may_be_missing(self):
        self.say("a", 1), self.say("b")
        self.check(entry(1, "a"))

    def test_a_lost_message_is_found(self):
        self.say("a", 1), self.say("b", 2)
        with self.assertRaises(Violation):
            self.check(entry(1, "a"))

    def test_a_message_that_gave_way_to_another_is_found(self):
        self.say("a", 1), self.say("b")
        with self.assertRaises(Violation):
            self.check(entry(1, "b"))

    def test_a_message_that_stands_twice_is_found(self):
        self.say("a"), self.say("b")
        with self.assertRaises(Violation):
            self.check(entry(1, "a"), entry(2, "b"), entry(3, "a"))

    def test_a_hole_is_found(self):
        self.say("a", 1), self.say("b", 3)
        with self.assertRaises(Violation):
            self.check(entry(1, "a"), entry(3, "b"))

    def test_a_repeat_at_another_place_is_found(self):
        send = self.say("a", 1)
        with self.assertRaises(Violation):
            self.history.acknowledge(send, 2, 2, True)

    def test_a_repeat_that_is_called_new_is_found(self):
        send = self.say("a", 1)
        with self.assertRaises(Violation):
            self.history.acknowledge(send, 2, 1, False)

    def test_changed_content_is_found(self):
        self.say("a", 1)
        with self.assertRaises(Violation):
            self.check(entry(1, "a", text="hallo"))

    def test_what_nobody_sent_is_found(self):
        with self.assertRaises(Violation):
            self.check(entry(1, "x"))

    def test_what_was_refused_is_found(self):
        self.history.refuse(self.say("a"), 1, "unavailable")
        with self.assertRaises(Violation):
            self.check(entry(1, "a"))

    def test_later_sent_and_earlier_placed_is_found(self):
        first = self.say("a")
        self.history.acknowledge(first, 1, 2, False)
        self.say("b", 1).invoked = first.acknowledged + 1
        with self.assertRaises(Violation):
            self.check(entry(1, "b"), entry(2, "a"))

    def test_time_that_goes_back_is_found(self):
        self.say("a", 1), self.say("b", 2)
        with self.assertRaises(Violation):
            self.check(entry(1, "a", at=5000), entry(2, "b"))

    def test_a_gap_is_measured_to_the_edges(self):
        self.history.begin("other", 0)
        self.history.acknowledgements = {GROUP: [10.0, 11.0], "other": [10.5]}
        self.assertEqual(self.history.gaps(9.0, 12.0), (1.0, 1.5))


if __name__ == "__main__":
    unittest.main()
