# Keys of the whole host.
{
  cfg,
  config,
  lib,
  refuse,
  settings,
  ...
}:
let
  alerts = settings.alerts or { };
  label = "[a-z0-9]([a-z0-9-]*[a-z0-9])?";
  base = settings.base_domain or null;
  daemon = config.virtualisation.docker.daemon.settings;
  subnet = settings.network.subnet or "";
  engine = settings.engine or "unix:///run/docker.sock";
  webhook = alerts.webhook or "https://";
in
[
  (refuse (base == null) ''
    services.evenkeel.baseDomain is missing. Apps answer below it: set it, such as "ci.example.org".
  '')
  (refuse (base != null && builtins.match "${label}([.]${label})+" base == null) ''
    services.evenkeel.baseDomain is no domain. Write it in lower case with at least one dot, such as
    "ci.example.org".
  '')
  (refuse (settings.max_tests or 1 < 1) ''
    services.evenkeel.maxTests is 0: no build could ever run. Give it 1 or more, or leave it out.
  '')
  (refuse (cfg.sweep.enable && settings.canonical or { } == { }) ''
    services.evenkeel.sweep.enable is on, and nothing is kept warm that could be swept. Declare one in
    services.evenkeel.canonical, or leave it out.
  '')
  (refuse (builtins.match ".*/(2[3-9]|3[0-2])" subnet != null) ''
    services.evenkeel.network.subnet is a /23 or less, which is exhausted in days, since Docker leaks addresses.
    Take a /16.
  '')
  (refuse (lib.hasPrefix "172.17." subnet && !(daemon ? bip)) ''
    services.evenkeel.network.subnet is that of Docker's own bridge. Take another, such as "10.200.0.0/16".
  '')
  (refuse (!lib.hasPrefix "unix:///" engine) ''
    services.evenkeel.settings.engine is not a socket of this machine. Snapshots need the Engine's own files: take
    "unix:///run/docker.sock".
  '')
  (refuse (alerts ? command && !lib.hasPrefix "/" (lib.concatStrings (lib.take 1 alerts.command))) ''
    services.evenkeel.alerts.command does not begin with a program's absolute path. Write such as
    "''${pkgs.mail-alert}/bin/mail-alert".
  '')
  (refuse (alerts ? format && !(alerts ? webhook)) ''
    services.evenkeel.alerts.format says how a webhook is written to, and there is none. Set
    services.evenkeel.alerts.webhook, or leave it out.
  '')
  (refuse (builtins.match "(https?://|/).*" webhook == null) ''
    services.evenkeel.alerts.webhook is neither a web address nor the absolute path of a file that holds one.
  '')
  (refuse (builtins.match "https?://[^/?#]*@.*" webhook != null) ''
    services.evenkeel.alerts.webhook carries a login, and everybody on this host can read it. Write the whole address to
    a file and name that.
  '')
  (refuse (cfg.certificate.chain != null && cfg.certificate.key == null) ''
    services.evenkeel.certificate.chain is given without services.evenkeel.certificate.key. Give both, or none.
  '')
  (refuse (cfg.certificate.key != null && cfg.certificate.chain == null) ''
    services.evenkeel.certificate.key is given without services.evenkeel.certificate.chain. Give both, or none.
  '')
  (refuse (!(settings ? proxy) && (cfg.certificate.chain != null || cfg.certificate.key != null)) ''
    services.evenkeel.certificate is served by the proxy, and there is none. Declare services.evenkeel.proxy, or leave
    the certificate out.
  '')
]
