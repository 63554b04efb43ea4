//! `interface process`: what the wasip1 adapter asks for on behalf of a guest's standard library.
//!
//! Guests do not import it by themselves, so it is not in the world that `bindings` is made of.

use tracing::Level;
use wasmtime::StoreContextMut;
use wasmtime::component::Linker;

use super::instance::InstanceState;

const STDERR: u32 = 2;

/// Gives the adapter its functions.
pub(super) fn link(linker: &mut Linker<InstanceState>) -> wasmtime::Result<()> {
    let mut process = linker.instance("selvedge:chaincode/process@0.1.0")?;
    process.func_wrap("write", |mut store: StoreContextMut<'_, InstanceState>, (to, bytes): (u32, Vec<u8>)| {
        let state = store.data_mut();
        if to == STDERR {
            state.output.keep(&bytes);
        }
        let level = if to == STDERR { Level::WARN } else { Level::INFO };
        state.log_lines(level, &String::from_utf8_lossy(&bytes));
        Ok(())
    })?;
    process.func_wrap("now", |store: StoreContextMut<'_, InstanceState>, (): ()| {
        Ok((store.data().transaction.nanoseconds(),))
    })?;
    process.func_wrap("random", |mut store: StoreContextMut<'_, InstanceState>, (): ()| {
        let state = store.data_mut();
        Ok((state.random.next(&state.transaction, &state.module.ccid().name),))
    })?;
    process.func_wrap("exit", |_: StoreContextMut<'_, InstanceState>, (code,): (u32,)| -> wasmtime::Result<()> {
        Err(wasmtime::Error::msg(format!("the chaincode called exit({code})")))
    })
}
