# The program with its manual page and completions. `git` and GNU tar are all that it runs.
{
  lib,
  stdenv,
  rustPlatform,
  makeWrapper,
  installShellFiles,
  git,
  gnutar,
  util-linux,
}:
rustPlatform.buildRustPackage {
  pname = "evenkeel";
  version = (lib.importTOML ../Cargo.toml).package.version;

  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../Cargo.toml
      ../Cargo.lock
      ../src
      ../tests/fixtures
      ../tests/it
    ];
  };
  cargoLock.lockFile = ../Cargo.lock;

  nativeBuildInputs = [
    makeWrapper
    installShellFiles
  ];

  # The sandbox has no Docker: tests/run shows what needs one.
  nativeCheckInputs = [
    git
    gnutar
    util-linux
  ];
  cargoTestFlags = [ "--lib" ];
  # It changes the root folder, which only root may.
  checkFlags = [ "--skip=demo::image::tests::the_image_runs_in_an_empty_root" ];

  postInstall = lib.optionalString (stdenv.buildPlatform.canExecute stdenv.hostPlatform) ''
    installManPage --name evenkeel.1 <($out/bin/evenkeel generate man)
    installShellCompletion --cmd evenkeel \
      --bash <($out/bin/evenkeel generate bash) \
      --zsh <($out/bin/evenkeel generate zsh) \
      --fish <($out/bin/evenkeel generate fish)
  '';

  postFixup = ''
    wrapProgram $out/bin/evenkeel --prefix PATH : ${
      lib.makeBinPath [
        git
        gnutar
      ]
    }
  '';

  meta = {
    description = "Keeps the apps of a NixOS Docker Swarm host as declared";
    license = lib.licenses.mit;
    mainProgram = "evenkeel";
    platforms = lib.platforms.linux;
  };
}
