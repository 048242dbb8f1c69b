from __future__ import annotations

from voice_agent.cli.restart_pause import RestartPause


def test_the_pause_grows_while_processes_die_young_up_to_half_a_minute() -> None:
    pause = RestartPause()
    assert [pause.after(lived_s=1.0) for _ in range(9)] == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_one_that_lived_well_is_replaced_soon() -> None:
    pause = RestartPause()
    for _ in range(5):
        pause.after(lived_s=1.0)
    assert [pause.after(lived_s=3600.0), pause.after(lived_s=1.0)] == [0.5, 1.0]
