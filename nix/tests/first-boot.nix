# A host from nothing: the first boot ends with the app served, and nothing is written from then on.
{ host, ... }:
{
  name = "evenkeel-first-boot";
  globalTimeout = 1800;

  nodes.machine = host;

  testScript = ''
    def services():
        """All services as Swarm has them: any write changes an index."""
        return machine.succeed(
            "docker service ls --quiet | sort | xargs docker service inspect"
            " --format '{{.Spec.Name}} {{.Version.Index}} {{json .PreviousSpec}}'"
        )


    machine.wait_for_unit("multi-user.target")

    with subtest("the app is served with the declared certificate"):
        assert machine.succeed("page").startswith("1.0.0 visit"), machine.succeed("evenkeel status")
        machine.succeed("evenkeel status --json | jq --exit-status 'all(.health == \"healthy\")'")

    with subtest("no unit has failed"):
        machine.fail("systemctl --failed --no-legend | grep evenkeel")

    before = services()

    with subtest("a switch without a change writes nothing"):
        machine.succeed("/run/current-system/bin/switch-to-configuration test")
        assert services() == before

    with subtest("a second boot writes nothing"):
        machine.shutdown()
        machine.start()
        machine.wait_for_unit("multi-user.target")
        machine.wait_until_succeeds("page", timeout=120)
        assert services() == before

    with subtest("the journal tells an app's lines by a field"):
        machine.succeed("journalctl F_APP=notes --lines 1 | grep .")
  '';
}
