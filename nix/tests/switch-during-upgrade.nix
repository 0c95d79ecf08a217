# A switch while an upgrade is under way leaves the upgrade alone, and waits for nobody.
{ host, lib, ... }:
{
  name = "evenkeel-switch-during-upgrade";
  globalTimeout = 1800;

  nodes.machine = {
    imports = [ host ];
    # Long enough to switch in the middle of the verdict.
    services.evenkeel.apps.notes.gate.stableFor = lib.mkForce "60s";
    # The units name the configuration, so that each of them is another one here.
    specialisation.other.configuration.services.evenkeel.timers.nightly.dates = lib.mkForce "04:00";
    specialisation.other.configuration.services.evenkeel.alerts.command = [
      "/run/current-system/sw/bin/true"
    ];
  };

  testScript = ''
    def invocation():
        return machine.succeed("systemctl show --property InvocationID --value evenkeel-app-upgrade").strip()


    machine.wait_for_unit("multi-user.target")
    machine.succeed("publish good")
    machine.succeed("systemctl start --no-block evenkeel-app-upgrade")
    machine.wait_until_succeeds(
        "evenkeel status notes --json | jq --exit-status '.[0].open.step == \"judge\"'", timeout=300
    )
    began = invocation()

    with subtest("the switch does not end it"):
        machine.succeed("/run/current-system/specialisation/other/bin/switch-to-configuration test")
        assert invocation() == began
        machine.succeed("systemctl show --property ActiveState evenkeel-app-upgrade | grep activating")

    with subtest("it ends well"):
        machine.wait_until_succeeds(
            "systemctl show --property ActiveState evenkeel-app-upgrade | grep inactive", timeout=300
        )
        assert invocation() == began
        assert machine.succeed("page").startswith("1.1.0 visit")
  '';
}
