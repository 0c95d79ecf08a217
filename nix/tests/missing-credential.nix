# A secret file that is not there: the unit fails at once and says so, a person is told, and nothing else suffers.
{ host, ... }:
{
  name = "evenkeel-missing-credential";
  globalTimeout = 1800;

  nodes.machine = {
    imports = [ host ];
    services.evenkeel.registryAuthFile = "/run/secrets/docker-config.json";
  };

  testScript = ''
    machine.wait_for_unit("multi-user.target")

    with subtest("the unit fails with 243 before it has done anything"):
        assert "ExecMainStatus=243" in machine.succeed("unit-of evenkeel-app")
        machine.succeed("journalctl --unit evenkeel-app | grep CREDENTIALS")
        machine.fail("docker service ls --quiet | grep .")

    with subtest("a person is told"):
        machine.wait_until_succeeds("evenkeel alerts list | grep evenkeel-app", timeout=60)

    with subtest("with the file there, all is well"):
        machine.succeed("mkdir -p /run/secrets && echo '{\"auths\": {}}' >/run/secrets/docker-config.json")
        machine.succeed("/run/current-system/bin/switch-to-configuration test")
        assert machine.succeed("page").startswith("1.0.0 visit")
  '';
}
