# Settings of Docker and of the firewall with which a Swarm host cannot be kept.
{
  cfg,
  config,
  lib,
  refuse,
  settings,
  ...
}:
let
  inherit (config.virtualisation) docker;
  daemon = docker.daemon.settings;
  inherit (config.networking) firewall;

  # Words of a shell, and the flags among them: `--all`, `-a`, `-af`, `-a=true`, `--volumes=true`; not `--all=false`.
  wordsOf =
    text: lib.filter (word: lib.isString word && word != "") (builtins.split "[[:space:]]+" text);
  words = lib.concatMap wordsOf docker.autoPrune.flags;
  isOff = word: builtins.match ".*=(0|f|F|false|FALSE|False)" word != null;
  isAll = word: !isOff word && builtins.match "--all(=.*)?|-[b-z]*a[a-z]*(=.*)?" word != null;
  isVolumes = word: !isOff word && builtins.match "--volumes(=.*)?" word != null;

  # Where Docker would keep its data if not where dockerDataRoot says.
  movesData = word: builtins.match "--data-root(=.*)?|--graph(=.*)?|-[a-zA-Z]*g.*" word != null;
  remaps = word: builtins.match "--userns-remap(=.*)?" word != null;
  options = wordsOf docker.extraOptions;

  isBounded = daemon.log-opts.max-size or null != null;

  isOpen =
    port:
    let
      opens =
        rules:
        builtins.elem port (rules.allowedTCPPorts or [ ])
        || lib.any (range: range.from <= port && port <= range.to) (rules.allowedTCPPortRanges or [ ]);
    in
    opens firewall || lib.any opens (lib.attrValues (firewall.interfaces or { }));
in
[
  (refuse (!docker.enable) ''
    services.evenkeel keeps a Docker Swarm, and virtualisation.docker.enable is off. Leave it on, or disable
    services.evenkeel.
  '')
  (refuse (docker.liveRestore || daemon.live-restore or false) ''
    virtualisation.docker.liveRestore is on, which a Swarm cannot live with: no node can be made a manager. Set it
    to false.
  '')
  (refuse (!docker.enableOnBoot) ''
    virtualisation.docker.enableOnBoot is off: no app would come up after a boot before somebody uses Docker. Leave
    it on.
  '')
  (refuse docker.autoPrune.allVolumes.enable ''
    virtualisation.docker.autoPrune.allVolumes.enable would remove the volumes of an app that is stopped, for its
    snapshot or to stay warm. Set it to false.
  '')
  (refuse (lib.any isAll words) ''
    virtualisation.docker.autoPrune.flags has --all, which removes the images that an app needs to go back to. Take
    it out; images without a tag are pruned in any case.
  '')
  (refuse (lib.any isVolumes words) ''
    virtualisation.docker.autoPrune.flags has --volumes, which removes the volumes of an app that is stopped. Take
    it out.
  '')
  (refuse (docker.logDriver == "none") ''
    virtualisation.docker.logDriver is "none": what an app said before it failed could not be told. Take "journald",
    or "json-file" with a max-size.
  '')
  (refuse (docker.logDriver == "json-file" && !isBounded) ''
    virtualisation.docker.logDriver is "json-file" without a bound, so that one app can fill Docker's disk. Set
    virtualisation.docker.daemon.settings.log-opts.max-size, such as "10m", or take "journald".
  '')
  (refuse (daemon ? data-root && daemon.data-root != cfg.dockerDataRoot) ''
    services.evenkeel.dockerDataRoot is not virtualisation.docker.daemon.settings.data-root: the units could not
    write to Docker's volumes. Leave it out.
  '')
  (refuse (lib.any movesData options) ''
    virtualisation.docker.extraOptions moves Docker's data, and the units could not write to its volumes. Set
    virtualisation.docker.daemon.settings.data-root in its place.
  '')
  (refuse (daemon.userns-remap or "" != "" || lib.any remaps options) ''
    virtualisation.docker has userns-remap, with which Docker keeps its volumes in another folder, where the units could
    not write. Take it out.
  '')
  (refuse (firewall.enable && settings ? proxy && !(isOpen 80 && isOpen 443)) ''
    The proxy answers at ports 80 and 443, and the firewall does not name both. Leave services.evenkeel.openFirewall
    on, or open them in networking.firewall.allowedTCPPorts.
  '')
]
