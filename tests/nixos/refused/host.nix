# Keys of the whole host that are refused.
{
  no-base-domain.settings =
    { lib, ... }:
    {
      services.evenkeel.baseDomain = lib.mkForce null;
    };
  base-domain-of-one-word.settings.services.evenkeel.baseDomain = "localhost";
  base-domain-in-upper-case.settings.services.evenkeel.baseDomain = "CI.example.org";
  no-capacity.settings.services.evenkeel.maxTests = 0;
  no-capacity-in-settings.settings.services.evenkeel.settings.max_tests = 0;
  sweep-of-nothing.settings.services.evenkeel.sweep.enable = true;
  small-network.settings.services.evenkeel.network.subnet = "10.200.0.0/24";
  network-of-510-addresses.settings.services.evenkeel.network.subnet = "10.200.0.0/23";
  network-of-dockers-bridge.settings.services.evenkeel.network.subnet = "172.17.0.0/16";
  engine-elsewhere.settings.services.evenkeel.settings.engine = "tcp://192.0.2.1:2375";
  alert-command-by-name.settings.services.evenkeel.alerts.command = [
    "mail-alert"
    "ops@example.org"
  ];
  alert-command-of-nothing.settings.services.evenkeel.alerts.command = [ ];
  format-without-webhook.settings.services.evenkeel.alerts.format = "ntfy";
  webhook-that-is-no-address.settings.services.evenkeel.alerts.webhook = "ntfy.example.org/topic";
  webhook-with-a-login.settings.services.evenkeel.alerts.webhook =
    "https://:tk_hunter2@ntfy.example.org/ops";
  chain-without-key.settings.services.evenkeel = {
    proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
    certificate.chain = "/run/secrets/chain";
  };
  key-without-chain.settings.services.evenkeel = {
    proxy.recipe.url = "https://git.example.org/recipes/traefik.git";
    certificate.key = "/run/secrets/key";
  };
  certificate-without-proxy.settings.services.evenkeel.certificate = {
    chain = "/run/secrets/chain";
    key = "/run/secrets/key";
  };
}
