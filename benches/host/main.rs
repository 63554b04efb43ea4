//! What the sandbox costs, as ratios against a native baseline in the same run (`cargo xtask bench [PART ...]`).
//!
//! Times on a shared machine drift, so the rows of a comparison take turns, and medians over the turns are shown. The
//! parts: `transactions`, `grpc`, `proposals`, `budget` (of a proposal), `signatures`, `launch`, `memory`, and of the ledger
//! `queries` (rich ones), `commit`, `simulation` (while blocks are committed), `replay` (and opening), `open` (of a gigabyte,
//! after a kill), `docker` (launches by language, a large package); all of them without an argument.

mod budget;
mod canned;
mod commit;
mod docker;
mod grpc;
mod launch;
mod load;
mod measure;
mod memory;
mod native;
mod network;
mod node;
mod proposals;
mod queries;
mod reopen;
mod replay;
mod sandbox;
mod signatures;
mod simulation;
mod transactions;

fn main() -> anyhow::Result<()> {
    let args: Vec<_> = std::env::args().skip(1).collect();
    if let [argument, file] = args.as_slice()
        && argument == canned::ARGUMENT
    {
        return canned::serve(file.as_ref());
    }
    if let [argument, folder] = args.as_slice()
        && argument == reopen::ARGUMENT
    {
        return reopen::write_until_killed(folder.as_ref());
    }
    let parts: Vec<_> = args.into_iter().filter(|arg| !arg.starts_with('-')).collect();
    let wanted = |part: &str| parts.is_empty() || parts.iter().any(|wanted| wanted == part);
    measure::machine();
    if wanted("transactions") {
        sandbox::run()?;
        transactions::run()?;
    }
    if wanted("grpc") {
        grpc::run()?;
    }
    if wanted("proposals") {
        proposals::run()?;
    }
    if wanted("budget") {
        budget::run()?;
    }
    if wanted("queries") {
        queries::run()?;
    }
    if wanted("signatures") {
        signatures::run()?;
    }
    if wanted("launch") {
        launch::run()?;
    }
    if wanted("memory") {
        memory::run()?;
    }
    if wanted("commit") {
        commit::run()?;
    }
    if wanted("simulation") {
        simulation::run()?;
    }
    if wanted("replay") {
        replay::run()?;
    }
    if wanted("docker") {
        docker::run()?;
    }
    if wanted("open") {
        reopen::run()?;
    }
    Ok(())
}
