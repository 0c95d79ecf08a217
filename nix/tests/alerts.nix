# A night with a bad and a held version: the app stays as it was, and each fact reaches a person once.
{ host, pkgs, ... }:
let
  # Stands for whoever reads alerts; refuses them while /srv/refuse is there.
  receive = pkgs.writeShellScriptBin "receive" ''
    [ ! -e /srv/refuse ] || exit 1
    ${pkgs.coreutils}/bin/cat >>/var/lib/ci-warm/received
  '';
in
{
  name = "evenkeel-alerts";
  globalTimeout = 1800;

  nodes.machine = {
    imports = [ host ];
    services.evenkeel.alerts.command = [ "${receive}/bin/receive" ];
  };

  testScript = ''
    alerts = "/var/lib/ci-warm/alerts"


    def relays():
        """How often the relay has been started."""
        return int(machine.succeed("journalctl --unit evenkeel-alerts --output cat | grep -c ^Starting || true"))


    machine.wait_for_unit("multi-user.target")
    machine.succeed("publish bad")

    with subtest("a night with a bad version ends with the old one, and tells"):
        machine.succeed("systemctl start evenkeel-nightly")
        machine.wait_until_succeeds(f"ls {alerts}/seen/*-notes-rollback.json", timeout=600)
        machine.succeed("grep '\"rollback\"' /var/lib/ci-warm/received")
        assert machine.succeed("page").startswith("1.0.0 visit")

    with subtest("the next night does not try it again, and is silent"):
        machine.succeed("systemctl start evenkeel-nightly")
        assert machine.succeed(f"ls {alerts}/seen | grep -c notes-rollback").strip() == "1"

    with subtest("a held version is told, and no failure"):
        machine.succeed("publish major")
        machine.succeed("systemctl start evenkeel-nightly")
        machine.wait_until_succeeds(f"ls {alerts}/seen/*-notes-held-major.json", timeout=120)
        machine.fail("systemctl --failed --no-legend | grep evenkeel")

    with subtest("a relay that fails is not started again and again"):
        machine.succeed("touch /srv/refuse")
        before = relays()
        machine.succeed(f"cp {alerts}/seen/*-notes-held-major.json {alerts}/20300101T000000Z-notes-held-policy.json")
        machine.sleep(30)
        assert relays() - before <= 2, relays()

    with subtest("what was not taken is sent later"):
        machine.succeed("rm /srv/refuse && systemctl start evenkeel-alerts")
        machine.wait_until_succeeds(f"ls {alerts}/seen/20300101T000000Z-notes-held-policy.json", timeout=60)
  '';
}
