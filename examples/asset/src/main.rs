//! The asset registry as a process of its own: `cargo build --release -p asset --features native`.

fn main() -> std::process::ExitCode {
    selvedge_sdk::native::main(|| asset::Asset)
}
