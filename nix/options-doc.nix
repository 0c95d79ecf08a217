# The page of the module's options, made from the options themselves.
{ lib, pkgs }:
let
  inherit (lib)
    concatMapStringsSep
    concatStringsSep
    filter
    hasInfix
    hasPrefix
    optionalString
    removePrefix
    replaceStrings
    stringLength
    ;

  evaluated = lib.evalModules {
    modules = [
      ./module.nix
      {
        _module.check = false;
        _module.args = { inherit pkgs; };
      }
    ];
  };

  prefix = "services.evenkeel.";
  isShown = o: o.visible && !o.internal && hasPrefix prefix o.name && !hasInfix "._module." o.name;
  shown = filter isShown (lib.optionAttrSetToDocList evaluated.options);

  # Words of the NixOS manual that Markdown does not know.
  prose = text: lib.trim (replaceStrings roles (map (_: "") roles) text);
  roles = [
    "{command}"
    "{env}"
    "{file}"
    "{manpage}"
    "{option}"
    "{var}"
  ];

  # How types are put in brackets is not the same in every nixpkgs.
  bare = replaceStrings [ "(both inclusive)" "(" ")" ] [ "(both inclusive)" "" "" ];
  # Where null is the default it means "not given", and the description says what holds then.
  isOptional = o: hasPrefix "null or " o.type && (o.default.text or "") == "null";
  type = o: if isOptional o then removePrefix "null or " (bare o.type) else bare o.type;

  # On one line what is short: lists and sets come with a line for each of their parts.
  oneLine = text: concatMapStringsSep " " lib.trim (lib.splitString "\n" text);
  code =
    text:
    if !hasInfix "''" text && stringLength (oneLine text) <= 80 then
      " `${oneLine text}`"
    else
      "\n\n  ```nix\n  ${replaceStrings [ "\n" ] [ "\n  " ] text}\n  ```";
  value =
    title: v:
    "\n- ${title}:${if v._type == "literalMD" then " ${prose v.text}" else code (lib.trim v.text)}";

  body =
    o:
    "${prose o.description}\n\n- Type: ${type o}"
    + optionalString (o ? default && !isOptional o) (value "Default" o.default)
    + optionalString (o ? example) (value "Example" o.example);

  # An option that several parts have, with the same words, stands on the page once.
  entries = map (o: {
    name = removePrefix prefix o.name;
    body = body o;
    key = "${lib.last o.loc} ${body o}";
  }) shown;
  namesOf = lib.mapAttrs (_: map (entry: entry.name)) (lib.groupBy (entry: entry.key) entries);
  isFirst = entry: entry.name == lib.head namesOf.${entry.key};

  section =
    entry:
    let
      others = map (name: "`${name}`") (lib.tail namesOf.${entry.key});
    in
    "## `${entry.name}`\n\n${entry.body}\n"
    + optionalString (others != [ ]) "- The same: ${concatStringsSep ", " others}\n";
in
''
  # Options of `services.evenkeel`

  All of them stand below `services.evenkeel`. What names no default is left out unless you give it.
  This page is made by `nix/options-page` from `nix/module.nix`.

''
+ concatMapStringsSep "\n" section (filter isFirst entries)
