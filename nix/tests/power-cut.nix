# The power fails in the middle of an upgrade. After the next boot the units alone lead to the old version on the old data,
# or to the new one on its own.
{ host, lib, ... }:
{
  name = "evenkeel-power-cut";
  globalTimeout = 3600;

  nodes.machine = {
    imports = [ host ];
    # Long enough to come in the middle of it.
    services.evenkeel.apps.notes.gate.stableFor = lib.mkForce "60s";
  };

  testScript = ''
    import json


    def stands():
        """The version that passed its gate last, and what its data is of."""
        notes = json.loads(machine.succeed("evenkeel status notes --json"))[0]
        data = "/var/lib/docker/volumes/notes_example_org_data/_data/notes.txt"
        return notes["version"], machine.succeed(f"head -n 1 {data}").strip()


    def lose_power():
        machine.crash()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        machine.wait_until_succeeds(
            "evenkeel status notes --json"
            " | jq --exit-status '.[0] | .open == null and .stuck == null and .health == \"healthy\"'",
            timeout=600,
        )
        machine.wait_until_succeeds("page", timeout=60)


    machine.wait_for_unit("multi-user.target")
    assert stands() == ("1.0.0+1.0.0", "schema 1"), stands()

    with subtest("a good version that is judged at that moment is judged again, on its data"):
        machine.succeed("publish good && sync")
        machine.succeed("systemctl start --no-block evenkeel-app-upgrade")
        machine.wait_until_succeeds(
            "evenkeel status notes --json | jq --exit-status '.[0].open.step == \"judge\"'", timeout=300
        )
        lose_power()
        assert stands() == ("1.1.0+1.1.0", "schema 2"), stands()

    # It migrates the data before it fails, so a moment at which both belonged together is easily missed.
    for seconds in [2, 6]:
        with subtest(f"{seconds} s after a bad version was begun: the old version, on its data"):
            machine.succeed("publish bad && sync" if seconds == 2 else "true")
            machine.succeed("systemctl start --no-block evenkeel-app-upgrade")
            machine.sleep(seconds)
            lose_power()
            assert stands() == ("1.1.0+1.1.0", "schema 2"), stands()
  '';
}
