# The power fails in the middle of an upgrade. After the next boot the units alone lead to the old version with the old
# data, or to the new one with its own.
{
  evenkeel,
  lib,
  module,
  pkgs,
}:
{
  name = "evenkeel-power-cut";
  globalTimeout = 3600;

  nodes.machine = import ./shared/host.nix {
    inherit
      evenkeel
      lib
      module
      pkgs
      ;
  };

  testScript = ''
    import json


    def notes():
        return json.loads(machine.succeed("evenkeel status notes --json"))[0]


    def schema():
        return machine.succeed("head -n 1 /var/lib/docker/volumes/notes_example_org_data/_data/notes.txt").strip()


    def cut_at(step):
        """The power fails when the upgrade has come to this step."""
        machine.succeed("systemctl start --no-block evenkeel-app-upgrade")
        machine.wait_until_succeeds(
            f"evenkeel status notes --json | jq --exit-status '.[0].open.step == \"{step}\"'", timeout=300
        )
        machine.crash()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        # The timer of the resume unit comes by within two minutes.
        machine.wait_until_succeeds(
            "evenkeel status notes --json | jq --exit-status '.[0].open == null and .[0].health == \"healthy\"'",
            timeout=600,
        )
        machine.wait_until_succeeds("page", timeout=60)


    machine.wait_for_unit("multi-user.target")
    assert schema() == "schema 1"
    machine.succeed("publish good && sync")

    with subtest("before the new version: the old one runs on its data"):
        cut_at("stop")
        assert (notes()["version"], schema()) == ("1.0.0+1.0.0", "schema 1"), notes()

    with subtest("while it is judged: it is judged again"):
        cut_at("judge")
        assert (notes()["version"], schema()) == ("1.1.0+1.1.0", "schema 2"), notes()

    with subtest("two kills are enough: a person is asked"):
        machine.succeed("publish bad && sync")
        cut_at("judge")
        assert (notes()["version"], schema()) == ("1.1.0+1.1.0", "schema 2"), notes()
  '';
}
