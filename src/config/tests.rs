//! Whole configurations: which file, what overrides what, what is refused, and that `docs/core.yaml` tells the truth.

use std::path::Path;

use super::*;

const REFERENCE: &str = include_str!("../../docs/core.yaml");

/// A configuration of this core.yaml in folder `/etc/fabric`.
fn of_file(text: &str, variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let document = document::parse(text).unwrap_or_else(|e| panic!("{e}"));
    Config::build(&environment(variables), Some(PathBuf::from("/etc/fabric/core.yaml")), &document)
}

fn environment(variables: &[(&str, &str)]) -> Environment {
    Environment {
        variables: variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        directory: PathBuf::from("/home/someone"),
        executable: Some(PathBuf::from("/opt/selvedge/selvedge")),
    }
}

fn problems(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    match of_file(text, variables) {
        Err(ConfigError::Invalid(problems)) => problems.iter().map(Problem::to_string).collect(),
        other => panic!("{text}: expected problems, got {other:?}"),
    }
}

#[test]
fn an_empty_name_makes_no_development_channel() {
    let load = |text| Config::build(&Environment::default(), None, &document::parse(text).unwrap()).unwrap();
    assert_eq!(load("peer: {}").development.channel.as_deref(), Some("mychannel"));
    assert_eq!(load("network: {development: {channel: ''}}").development.channel, None);
}

#[test]
fn the_reference_file_parses_to_exactly_the_defaults() {
    // Whether the endpoint was written down is a setting, too.
    let written = [("CORE_VM_ENDPOINT", "unix:///var/run/docker.sock")];
    assert_eq!(of_file(REFERENCE, &[]).expect("is valid"), of_file("", &written).expect("is valid"));
}

#[test]
fn every_known_key_occurs_in_the_reference_file() {
    let document = document::parse(REFERENCE).expect("parses");
    for (key, default) in keys::SCALARS {
        // An empty value is as good as none, so what is written as `key:` counts by its line.
        let name = key.rsplit('.').next().expect("a key has a last part");
        assert!(REFERENCE.contains(&format!("{name}:")), "{key} is missing in docs/core.yaml");
        let written = document.scalars.get(key).map_or("", String::as_str);
        assert_eq!(written, *default, "{key} in docs/core.yaml");
    }
    for key in keys::LISTS {
        assert!(document.lists.contains_key(key), "{key} is missing in docs/core.yaml");
    }
    assert!(document.system.is_some(), "chaincode.system is missing in docs/core.yaml");
    assert!(REFERENCE.contains("systemPlugins:"), "chaincode.systemPlugins is missing in docs/core.yaml");
    assert!(document.unknown.is_empty() && document.unused.is_empty(), "{document:?}");
}

#[test]
fn a_node_without_any_file_keeps_its_data_here_and_warns_of_nothing() {
    let config = Config::build(&environment(&[]), None, &Document::default()).expect("the defaults are valid");
    assert_eq!(config.peer.file_system_path, Path::new("/home/someone/selvedge-data"));
    assert_eq!(config.chaincode.wasm.cache_path, Path::new("/home/someone/selvedge-data/wasm-cache"));
    assert_eq!(config.chaincode.wasm.system_path, Path::new("/opt/selvedge/scc"));
    assert_eq!(config.chaincode.wasm.system_version, env!("CARGO_PKG_VERSION"));
    assert_eq!(config.peer.address, "127.0.0.1:7051");
    assert!(config.chaincode.wasm.workers >= 1);
    assert_eq!(config.chaincode.system.keys().collect::<Vec<_>>(), ["cscc", "lscc", "qscc"]);
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_node_without_any_file_answers_rich_queries_unless_it_is_told_otherwise() {
    let database = |file: Option<&str>, variables: &[(&str, &str)]| {
        let file = file.map(PathBuf::from);
        let config = Config::build(&environment(variables), file, &Document::default());
        config.expect("is valid").ledger.state_database
    };
    let variable = "CORE_LEDGER_STATE_STATEDATABASE";
    assert_eq!(database(None, &[]), StateDatabase::CouchDb);
    assert_eq!(database(None, &[(variable, "goleveldb")]), StateDatabase::GoLevelDb);
    assert_eq!(database(Some("/etc/fabric/core.yaml"), &[]), StateDatabase::GoLevelDb);
    assert_eq!(database(Some("/etc/fabric/core.yaml"), &[(variable, "CouchDB")]), StateDatabase::CouchDb);
}

#[test]
fn a_file_without_a_data_path_has_fabrics() {
    let config = of_file("peer: {id: peer7}", &[]).expect("is valid");
    assert_eq!(config.peer.file_system_path, Path::new("/var/hyperledger/production"));
}

#[test]
fn variables_override_the_file_and_the_file_the_defaults() {
    let text = "peer:\n  listenAddress: 10.0.0.1:7051\n  id: from-file\nchaincode:\n  executetimeout: 40s\n";
    let variables = [
        ("CORE_PEER_LISTENADDRESS", "0.0.0.0:17051"),
        ("CORE_CHAINCODE_WASM_LIMITS_MEMORY", "32mb"),
        ("CORE_PEER_ID", ""),
    ];
    let config = of_file(text, &variables).expect("is valid");
    assert_eq!(config.peer.listen_address, "0.0.0.0:17051");
    assert_eq!(config.peer.address, "127.0.0.1:17051");
    assert_eq!(config.peer.id, "from-file", "an empty variable overrides nothing");
    assert_eq!(config.chaincode.wasm.limits.memory, ByteSize::mib(32));
    assert_eq!(config.chaincode.execute_timeout, Duration::from_secs(40));
}

#[test]
fn relative_paths_start_at_the_files_folder() {
    let text = "peer: {fileSystemPath: data, mspConfigPath: msp}\n\
                chaincode: {wasm: {systemPath: ../scc}, systemPlugins: [{name: asset, path: asset.wasm}]}";
    let config = of_file(text, &[]).expect("is valid");
    assert_eq!(config.peer.file_system_path, Path::new("/etc/fabric/data"));
    assert_eq!(config.peer.msp_config_path.as_deref(), Some(Path::new("/etc/fabric/msp")));
    assert_eq!(config.peer.development_path(), Path::new("/etc/fabric/data/development"));
    assert_eq!(config.chaincode.wasm.system_path, Path::new("/etc/fabric/../scc"));
    assert_eq!(config.chaincode.system_plugins[0].path, Path::new("/etc/fabric/asset.wasm"));
}

#[test]
fn a_problem_names_key_value_limit_and_what_to_do() {
    let table = [
        (
            "peer: {listenAddress: 7051}",
            "peer.listenAddress: \"7051\" is not an address; write host:port, for instance 127.0.0.1:7051",
        ),
        (
            "peer: {listenAddress: 'host:70510'}",
            "peer.listenAddress: \"host:70510\" has no port; write host:port with a port from 0 to 65535",
        ),
        (
            "chaincode: {executetimeout: 30}",
            "chaincode.executetimeout: \"30\" has no unit; write for instance 30s or 300ms",
        ),
        ("chaincode: {startuptimeout: 4s}", "chaincode.startuptimeout: \"4s\" is below 5s; write at least that"),
        (
            "ledger: {state: {stateDatabase: couchdb}}",
            "ledger.state.stateDatabase: \"couchdb\" is not a state database; write goleveldb or CouchDB",
        ),
        ("chaincode: {mode: prod}", "chaincode.mode: \"prod\" is not a mode; write net or dev"),
        (
            "chaincode: {wasm: {limits: {memory: 5 GiB}}}",
            "chaincode.wasm.limits.memory: \"5 GiB\" is above 4 GiB; write at most that",
        ),
        (
            "chaincode: {wasm: {initInstances: many}}",
            "chaincode.wasm.initInstances: \"many\" is not a whole number; write one from 1 to 10000",
        ),
        (
            "ledger: {history: {enableHistoryDatabase: perhaps}}",
            "ledger.history.enableHistoryDatabase: \"perhaps\" is neither true nor false; write one of them",
        ),
        (
            "network: {development: {channel: My_Channel}}",
            "network.development.channel: \"My_Channel\" is not a channel's name; write at most 249 of a-z, 0-9, dot and dash, and a letter first",
        ),
        (
            "network: {development: {preferredMaxBytes: 20 MiB}}",
            "network.development.preferredMaxBytes: \"20 MiB\" is above 10 MiB; write at most that",
        ),
        ("peer: {localMspId: ''}", "peer.localMspId: \"\" is empty; write a name"),
    ];
    for (text, expected) in table {
        assert_eq!(problems(text, &[]), [expected], "{text}");
    }
}

#[test]
fn a_problem_in_the_environment_names_the_variable() {
    assert_eq!(
        problems("", &[("CORE_CHAINCODE_WASM_INSTANCES", "4")]),
        ["chaincode.wasm.instances: \"4\" (from CORE_CHAINCODE_WASM_INSTANCES) is too few for one \
          transaction with calls 8 deep (chaincode.wasm.limits.callDepth); write at least 9"]
    );
}

#[test]
fn every_problem_is_found_in_one_run() {
    let found =
        problems("peer: {listenAddress: x}\nchaincode: {keepalive: soon}\noperations: {listenAddress: ''}", &[]);
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn tls_of_operations_is_refused_rather_than_ignored() {
    for (text, variables) in
        [("operations: {tls: {enabled: true}}", &[][..]), ("", &[("CORE_OPERATIONS_TLS_ENABLED", "true")])]
    {
        let found = problems(text, variables);
        assert!(found[0].starts_with("operations.tls") && found[0].contains("does not have"), "{found:?}");
    }
}

#[test]
fn the_peers_tls_is_read_with_fabrics_names_and_paths_start_at_the_files_folder() {
    let text = "peer:\n  tls:\n    enabled: true\n    clientAuthRequired: true\n    cert: {file: tls/server.crt}\n    \
                key: {file: /k/server.key}\n    rootcert: {file: tls/ca.crt}\n    clientRootCAs:\n      files:\n        \
                - tls/a.crt\n        - /b.crt\n    clientKey: {file: }\n    serverhostoverride: peer0\n";
    let config = of_file(text, &[("CORE_PEER_TLS_CLIENTCERT_FILE", "tls/client.crt")]).expect("is valid");
    let tls = config.peer.tls;
    assert!(tls.enabled && tls.client_auth_required);
    assert_eq!(tls.cert_file.as_deref(), Some(Path::new("/etc/fabric/tls/server.crt")));
    assert_eq!(tls.key_file.as_deref(), Some(Path::new("/k/server.key")));
    assert_eq!(tls.rootcert_file.as_deref(), Some(Path::new("/etc/fabric/tls/ca.crt")));
    assert_eq!(tls.client_root_cas, [Path::new("/etc/fabric/tls/a.crt"), Path::new("/b.crt")]);
    assert_eq!(tls.client_cert_file.as_deref(), Some(Path::new("/etc/fabric/tls/client.crt")));
    assert_eq!(tls.client_key_file, None);
    assert_eq!(tls.server_host_override, "peer0");
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn a_list_of_files_may_come_from_a_variable() {
    let yaml = "peer: {tls: {clientRootCAs: {files: [from-file]}}}";
    for (written, expected) in [
        ("/a.crt b.crt", &["/a.crt", "/etc/fabric/b.crt"][..]),
        ("[/a.crt, \"/with blank.crt\"]", &["/a.crt", "/with blank.crt"]),
        ("", &["/etc/fabric/from-file"]),
    ] {
        let config = of_file(yaml, &[("CORE_PEER_TLS_CLIENTROOTCAS_FILES", written)]).expect("is valid");
        assert_eq!(config.peer.tls.client_root_cas, expected.iter().map(Path::new).collect::<Vec<_>>(), "{written}");
    }
}

#[test]
fn unknown_keys_are_reported_once_with_the_nearest() {
    let text = "peer:\n  listenAdress: 0.0.0.0:7051\n  gossip: {bootstrap: a}\n  BCCSP: {Default: SW}\n";
    let config =
        of_file(text, &[("CORE_PEER_FILESYSTEMPAHT", "/data"), ("CORE_LOGGING_FORMAT", "x")]).expect("is valid");
    assert_eq!(
        config.warnings,
        [
            "peer.listenAdress is not a known key and has no effect; did you mean peer.listenAddress?",
            "CORE_PEER_FILESYSTEMPAHT is not a known key and has no effect; did you mean CORE_PEER_FILESYSTEMPATH?",
            "without effect in this version: peer.gossip.bootstrap, peer.BCCSP",
        ]
    );
}

#[test]
fn a_whitelist_of_ones_own_replaces_the_default_and_knows_yaml_booleans() {
    let text = "chaincode:\n  system:\n    a: enable\n    b: Yes\n    c: true\n    d: disable\n    e:\n";
    let config = of_file(text, &[]).expect("is valid");
    let expected = [("a", "enable"), ("b", "true"), ("c", "true"), ("d", "disable"), ("e", "")];
    assert_eq!(config.chaincode.system, expected.map(|(k, v)| (k.to_owned(), v.to_owned())).into());
}

#[test]
fn the_whitelist_may_come_from_a_variable_as_json() {
    let variables = [("CORE_CHAINCODE_SYSTEM", r#"{"asset":"enable"}"#)];
    assert_eq!(of_file("", &variables).expect("is valid").chaincode.system["asset"], "enable");
    assert!(problems("", &[("CORE_CHAINCODE_SYSTEM", "asset")])[0].contains("is not a map of texts"));
}

#[test]
fn plugins_keep_fabrics_schema_and_add_ours() {
    let text = "chaincode:\n  system: {asset: enable}\n  systemPlugins:\n    - enabled: true\n      name: asset\n      path: /p/asset.wasm\n      \
                invokableExternal: true\n      invokableCC2CC: false\n      capabilities: [ledger]\n      config: {currency: EUR}\n";
    let config = of_file(text, &[]).expect("is valid");
    assert_eq!(
        config.chaincode.system_plugins,
        [PluginConfig {
            enabled: true,
            name: "asset".to_owned(),
            path: PathBuf::from("/p/asset.wasm"),
            invokable_external: true,
            invokable_cc2cc: false,
            capabilities: vec!["ledger".to_owned()],
            config: BTreeMap::from([("currency".to_owned(), "EUR".to_owned())]),
        }]
    );
    assert!(config.warnings.is_empty(), "{:?}", config.warnings);
}

#[test]
fn plugins_that_cannot_work_are_refused() {
    let table = [
        ("[{name: 'a b', path: x}]", "systemPlugins[0].name"),
        ("[{name: a, path: x}, {name: a, path: y}]", "systemPlugins[1].name"),
        ("[{name: qscc, path: x}]", "systemPlugins[0].name"),
        ("[{name: a}]", "systemPlugins[0].path"),
        ("[{name: a, path: x, invokableCC2CC: perhaps}]", "systemPlugins[0].invokableCC2CC"),
    ];
    for (list, key) in table {
        let found = problems(&format!("chaincode: {{systemPlugins: {list}}}"), &[]);
        assert!(found.len() == 1 && found[0].contains(key), "{list}: {found:?}");
    }
}

#[test]
fn a_plugin_that_is_enabled_in_one_place_only_is_pointed_out() {
    let config = of_file("chaincode: {systemPlugins: [{name: a, path: x, enabled: true}]}", &[]).expect("is valid");
    assert_eq!(config.warnings.len(), 1);
    assert!(config.warnings[0].contains("write `a: enable`"), "{:?}", config.warnings);
}

#[test]
fn a_log_level_that_no_shim_knows_is_info_and_warned_of() {
    let config = of_file("chaincode: {logging: {level: Debug, shim: verbose}}", &[]).expect("is valid");
    assert_eq!((&*config.chaincode.logging.level, &*config.chaincode.logging.shim), ("Debug", "INFO"));
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].starts_with("chaincode.logging.shim=verbose is no log level"), "{:?}", config.warnings);
}

#[test]
fn a_bare_number_of_keepalive_is_seconds() {
    for (text, expected) in [("0", None), ("-1", None), ("60", Some(60)), ("2m", Some(120))] {
        let config = of_file(&format!("chaincode: {{keepalive: {text}}}"), &[]).expect("is valid");
        assert_eq!(config.chaincode.keepalive, expected.map(Duration::from_secs), "{text}");
    }
}

#[test]
fn the_file_is_found_where_fabric_looks() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("core.yaml");
    std::fs::write(&path, "peer: {id: found}").expect("writes");
    let elsewhere = PathBuf::from("/nonexistent");

    let here = Environment { directory: folder.path().to_owned(), ..Environment::default() };
    assert_eq!(Config::load(&here).expect("is valid").peer.id, "found");

    let variables = BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), folder.path().display().to_string())]);
    let named = Environment { variables, directory: elsewhere.clone(), executable: None };
    assert_eq!(Config::load(&named).expect("is valid").file, Some(path));

    let variables = BTreeMap::from([("FABRIC_CFG_PATH".to_owned(), "/nonexistent".to_owned())]);
    let wrong = Environment { variables, directory: folder.path().to_owned(), executable: None };
    assert!(
        matches!(Config::load(&wrong), Err(ConfigError::NotFound(_))),
        "a wrong FABRIC_CFG_PATH is not passed over"
    );

    let nowhere = Environment { directory: elsewhere, ..Environment::default() };
    assert_eq!(Config::load(&nowhere).expect("the defaults are valid").file, None);
}
