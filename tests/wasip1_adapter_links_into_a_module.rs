//! A module that imports all of WASI preview 1 becomes a component that imports `process` alone, and what it asks for is
//! what `process` answers.

// In the helpers too, what does not unwrap is the test's own failure.
#![allow(clippy::unwrap_used)]

use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Store};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

const PROCESS: &str = "selvedge:chaincode/process@0.1.0";

/// Preview 1, as `wasi_snapshot_preview1.witx` has it: names and core parameters (`I` is i64).
const PREVIEW_1: &[(&str, &str)] = &[
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("clock_res_get", "ii"),
    ("clock_time_get", "iIi"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_close", "i"),
    ("fd_datasync", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("fd_filestat_get", "ii"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("fd_pwrite", "iiiIi"),
    ("fd_read", "iiii"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_seek", "iIii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("fd_write", "iiii"),
    ("path_create_directory", "iii"),
    ("path_filestat_get", "iiiii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiiii"),
    ("path_open", "iiiiiIIii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiiii"),
    ("path_unlink_file", "iii"),
    ("poll_oneoff", "iiii"),
    ("proc_raise", "i"),
    ("sched_yield", ""),
    ("random_get", "ii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
];

/// What the guest said and how it ended.
#[derive(Default)]
struct Process {
    written: Vec<(u32, Vec<u8>)>,
    exit: Option<u32>,
}

/// The component of a module with these functions, which imports all of preview 1 and exports `run: func() -> u32`.
fn component(body: &str) -> Vec<u8> {
    let mut module = String::from("(module (memory (export \"memory\") 1)\n");
    let mut imports = String::new();
    for (name, parameters) in PREVIEW_1 {
        let parameters: Vec<&str> = parameters.chars().map(|c| if c == 'I' { "i64" } else { "i32" }).collect();
        let parameters = parameters.join(" ");
        imports.push_str(&format!(
            "(import \"wasi_snapshot_preview1\" \"{name}\" (func ${name} (param {parameters}) (result i32)))\n"
        ));
    }
    imports.push_str("(import \"wasi_snapshot_preview1\" \"proc_exit\" (func $proc_exit (param i32)))\n");
    module.insert_str("(module ".len(), &imports);
    module.push_str(body);
    module.push(')');

    let mut guest = wat::parse_str(&module).unwrap();
    let mut resolve = Resolve::default();
    let package =
        resolve.push_str("test.wit", "package selvedge:test; world guest { export run: func() -> u32; }").unwrap();
    let world = resolve.select_world(&[package], Some("guest")).unwrap();
    embed_component_metadata(&mut guest, &resolve, world, StringEncoding::UTF8, false).unwrap();

    let mut adapter = wat::parse_str(include_str!("../src/container/wasm/adapter.wat")).unwrap();
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_path(concat!(env!("CARGO_MANIFEST_DIR"), "/wit/chaincode")).unwrap();
    let world = resolve.select_world(&[package], Some("adapter")).unwrap();
    embed_component_metadata(&mut adapter, &resolve, world, StringEncoding::UTF8, false).unwrap();

    let mut encoder = ComponentEncoder::default();
    encoder.validate(true).module(&guest).unwrap();
    encoder.adapter("wasi_snapshot_preview1", &adapter).unwrap();
    encoder.encode().unwrap()
}

/// Runs it; `now` is 7, `random` 0x0807060504030201.
fn run(body: &str) -> (wasmtime::Result<u32>, Process) {
    let engine = Engine::default();
    let component = Component::new(&engine, component(body)).unwrap();
    let imports: Vec<String> = component.component_type().imports(&engine).map(|(name, _)| name.to_owned()).collect();
    assert_eq!(imports, [PROCESS]);

    let mut linker = Linker::<Process>::new(&engine);
    let mut process = linker.instance(PROCESS).unwrap();
    process
        .func_wrap("write", |mut store, (descriptor, bytes): (u32, Vec<u8>)| {
            store.data_mut().written.push((descriptor, bytes));
            Ok(())
        })
        .unwrap();
    process.func_wrap("now", |_, (): ()| Ok((7_u64,))).unwrap();
    process.func_wrap("random", |_, (): ()| Ok((0x0807_0605_0403_0201_u64,))).unwrap();
    process
        .func_wrap("exit", |mut store, (code,): (u32,)| {
            store.data_mut().exit = Some(code);
            Ok(())
        })
        .unwrap();

    let mut store = Store::new(&engine, Process::default());
    let result = linker.instantiate(&mut store, &component).and_then(|instance| {
        let run = instance.get_typed_func::<(), (u32,)>(&mut store, "run")?;
        Ok(run.call(&mut store, ())?.0)
    });
    (result, store.into_data())
}

#[test]
fn text_goes_out_piece_by_piece() {
    let (written, process) = run(r#"
        (data (i32.const 100) "Hello, world")
        (func (export "run") (result i32)
          (i32.store (i32.const 0) (i32.const 100)) (i32.store (i32.const 4) (i32.const 7))
          (i32.store (i32.const 8) (i32.const 0)) (i32.store (i32.const 12) (i32.const 0))
          (i32.store (i32.const 16) (i32.const 107)) (i32.store (i32.const 20) (i32.const 5))
          (drop (call $fd_write (i32.const 2) (i32.const 0) (i32.const 3) (i32.const 24)))
          (i32.load (i32.const 24)))"#);
    assert_eq!(written.unwrap(), 12);
    assert_eq!(process.written, [(2, b"Hello, ".to_vec()), (2, b"world".to_vec())]);
}

#[test]
fn only_standard_out_and_standard_error_can_be_written() {
    for descriptor in [0, 3, u32::MAX] {
        let (errno, process) = run(&format!(
            r#"(func (export "run") (result i32)
                 (call $fd_write (i32.const {}) (i32.const 0) (i32.const 1) (i32.const 24)))"#,
            descriptor as i32
        ));
        assert_eq!(errno.unwrap(), 8, "descriptor {descriptor}");
        assert!(process.written.is_empty());
    }
}

#[test]
fn randomness_of_any_length_is_filled_and_no_byte_more() {
    let (bytes, _) = run(r#"
        (func (export "run") (result i32)
          (i32.store (i32.const 8) (i32.const -1))
          (drop (call $random_get (i32.const 0) (i32.const 10)))
          (i32.load (i32.const 8)))"#);
    assert_eq!(bytes.unwrap(), 0xffff_0201);
}

#[test]
fn clocks_show_the_hosts_time() {
    let (now, _) = run(r#"
        (func (export "run") (result i32)
          (drop (call $clock_time_get (i32.const 1) (i64.const 0) (i32.const 8)))
          (i32.load (i32.const 8)))"#);
    assert_eq!(now.unwrap(), 7);
    let (errno, _) = run(r#"
        (func (export "run") (result i32) (call $clock_time_get (i32.const 4) (i64.const 0) (i32.const 8)))"#);
    assert_eq!(errno.unwrap(), 28);
}

#[test]
fn there_is_no_environment_and_no_directory() {
    let (sum, _) = run(r#"
        (func (export "run") (result i32)
          (i64.store (i32.const 0) (i64.const -1))
          (drop (call $environ_sizes_get (i32.const 0) (i32.const 4)))
          (i32.add (i32.add (i32.load (i32.const 0)) (i32.load (i32.const 4)))
            (call $fd_prestat_get (i32.const 3) (i32.const 0))))"#);
    assert_eq!(sum.unwrap(), 8);
}

#[test]
fn files_are_refused() {
    let (errno, _) = run(r#"
        (func (export "run") (result i32)
          (call $path_open (i32.const 3) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0)
            (i64.const 0) (i64.const 0) (i32.const 0) (i32.const 0)))"#);
    assert_eq!(errno.unwrap(), 76);
}

#[test]
fn an_exit_ends_the_module() {
    let (result, process) = run(r#"
        (func (export "run") (result i32) (call $proc_exit (i32.const 3)) (i32.const 0))"#);
    assert!(result.is_err());
    assert_eq!(process.exit, Some(3));
}

#[test]
fn a_pointer_past_the_memory_traps_the_guest() {
    let (result, process) = run(r#"
        (func (export "run") (result i32)
          (call $fd_write (i32.const 1) (i32.const -8) (i32.const 1) (i32.const 0)))"#);
    assert!(result.is_err());
    assert!(process.written.is_empty());
}
