//! The two sides of a plan: read from files or from a running server, and compiled.

use std::{path::Path, sync::Arc};

use super::{
    base_side::{BaseSide, identity, shown_databases},
    progress::ProgressLine,
    scenario::{Scenario, SideInputs},
    server_side::server_side,
};
use crate::{
    cli::{args::PlanArguments, output::Output},
    config::SourceOptions,
    control::{LoadedConfig, PlannedRules, open_databases, unix_now},
    engine::{PlanOptions, PlanSide},
    geo::Databases,
    listing::counted,
    steer::{
        Compilation, CompiledCharts, Compiler, Conditions, Numbering, Surveys, Topology,
        WheelCache, apply_overrides,
    },
};

/// Both sides of a plan, compiled.
pub(super) struct ComparedSides {
    pub(super) before: CompiledSide,
    pub(super) after: CompiledSide,
    /// The surveys of the second side's compiler.
    pub(super) surveys: Surveys,
    /// Sentences about what the sides are based on.
    pub(super) notes: Vec<String>,
    /// The safety rules that the change is judged by.
    pub(super) rules: PlannedRules,
    /// What the server knows and the files do not.
    pub(super) options: PlanOptions,
}

/// One side of a plan, compiled.
pub(super) struct CompiledSide {
    /// What the side is, in a phrase.
    pub(super) source: String,
    compiled: CompiledCharts,
    databases: Arc<Databases>,
}

impl CompiledSide {
    pub(super) fn plan_side(&self) -> PlanSide<'_> {
        PlanSide { compiled: &self.compiled, databases: &self.databases }
    }
}

/// Reads both sides and compiles them.
///
/// # Errors
/// The whole text for the operator: errors of the files, of a database, of the request to the
/// server, or an unknown subject.
pub(super) fn read(
    plan: &PlanArguments,
    output: &Output,
    progress: &ProgressLine,
) -> Result<ComparedSides, String> {
    let scenario = Scenario { drains: &plan.drain, downs: &plan.down };
    progress.step("reading files and databases");
    // A scenario alone changes what is in use; the files may be far ahead of it.
    let is_alone = !scenario.is_empty() || plan.outages || !plan.files.geoip.is_empty();
    let files = match plan.files.zones.is_none() && is_alone {
        true => None,
        false => Some(load(&plan.files.locations(), output)?),
    };
    let mut base = match against_directory(plan) {
        Some(directory) => directory_side(plan, directory, files.as_ref(), output)?,
        None => server_side(plan, files.as_ref())?,
    };
    let databases = databases_after(plan, &mut base, files.as_ref())?;
    if let Some(files) = &files {
        base.rules = base.rules.replaced_by(&files.config.safety);
    }
    let inputs = after_inputs(&base, files.as_ref());
    let (inputs, notes) = scenario.apply(inputs).map_err(|error| error.to_string())?;
    let mut source = match &files {
        Some(_) => format!("the files in {}", shown_directory(plan)),
        None => "the same".to_owned(),
    };
    if !Arc::ptr_eq(&databases, &base.databases) {
        source += &format!(", with clients located by {}", shown_databases(&databases));
    }
    source += &scenario.phrase();
    let sides = compile(base, (source, inputs, databases), progress);
    Ok(ComparedSides { notes: [sides.notes, notes].concat(), ..sides })
}

/// The databases after the change: those of `--geoip`, else those of the files, else the same.
fn databases_after(
    plan: &PlanArguments,
    base: &mut BaseSide,
    files: Option<&LoadedConfig>,
) -> Result<Arc<Databases>, String> {
    let is_given = !plan.files.geoip.is_empty();
    let found = match files {
        Some(files) => Arc::clone(files.databases()),
        None if is_given => open_databases(&plan.files.locations())?,
        None => Arc::clone(&base.databases),
    };
    let (had_any, has_any) = (!base.databases.list().is_empty(), !found.list().is_empty());
    if is_given && !had_any && against_directory(plan).is_some() {
        // A directory of zone files has no databases: they are not part of the change.
        base.databases = Arc::clone(&found);
    } else if !is_given && had_any != has_any {
        // Nor are databases that only one side finds in its default place.
        return Ok(Arc::clone(&base.databases));
    } else if !is_given && identity(&base.databases) == identity(&found) {
        return Ok(Arc::clone(&base.databases));
    }
    Ok(found)
}

fn shown_directory(plan: &PlanArguments) -> String {
    plan.files.zones.as_deref().unwrap_or(Path::new("zones")).display().to_string()
}

fn load(locations: &SourceOptions, output: &Output) -> Result<LoadedConfig, String> {
    LoadedConfig::load(locations, output.message_colours()).map_err(|refusal| refusal.rendered)
}

/// The directory of `--against`; `None` if it names a server.
fn against_directory(plan: &PlanArguments) -> Option<&Path> {
    let against = plan.against.as_deref()?;
    let is_server = !Path::new(against).exists()
        && (against.contains("://") || (against.contains(':') && !against.contains('/')));
    (!is_server).then_some(Path::new(against))
}

/// The side of a directory: nothing was probed yet.
fn directory_side(
    plan: &PlanArguments,
    directory: &Path,
    files: Option<&LoadedConfig>,
    output: &Output,
) -> Result<BaseSide, String> {
    let named = SourceOptions::of_directory(directory)?;
    let flags = plan.files.locations();
    let geoip = Vec::new();
    let locations = match named.directory {
        Some(_) => SourceOptions { listen: flags.listen, geoip, ..named },
        None => SourceOptions { zones: named.zones, geoip, ..flags },
    };
    let loaded = load(&locations, output)?;
    let known = files.filter(|_| plan.files.geoip.is_empty()).map(LoadedConfig::databases);
    let databases = match known {
        // Read twice, but equal: then both sides share one.
        Some(known) if identity(known) == identity(loaded.databases()) => Arc::clone(known),
        _ => Arc::clone(loaded.databases()),
    };
    let topology = Arc::clone(&loaded.topology);
    let conditions = Conditions::unprobed(&topology, unix_now());
    Ok(BaseSide {
        source: format!(
            "the files in {}, with the health of all targets unknown",
            directory.display()
        ),
        inputs: SideInputs { topology, conditions },
        databases,
        notes: Vec::new(),
        options: PlanOptions::default(),
        overrides: Arc::default(),
        rules: PlannedRules::default().replaced_by(&loaded.config.safety),
    })
}

/// The inputs after the change: those of the files under the overrides and conditions before, or
/// the same.
fn after_inputs(side: &BaseSide, files: Option<&LoadedConfig>) -> SideInputs {
    let base = &side.inputs;
    let Some(files) = files else { return base.clone() };
    let written = apply_overrides(&files.topology, &side.overrides, unix_now());
    let topology = Numbering::after(&written, &base.topology).apply(&written, None);
    let conditions =
        base.conditions.carried_over(&base.topology, &topology, unix_now()).after_ramps(&topology);
    SideInputs { topology, conditions }
}

fn compile(
    base: BaseSide,
    (source, inputs, databases): (String, SideInputs, Arc<Databases>),
    progress: &ProgressLine,
) -> ComparedSides {
    let (mut surveys, mut wheels) = (Surveys::default(), WheelCache::default());
    let compiler_of = |topology: &Arc<Topology>, databases: &Databases, surveys: &mut Surveys| {
        Compiler::new(Arc::clone(topology), databases, surveys)
    };
    progress.step("dividing the address space");
    let compiler = compiler_of(&base.inputs.topology, &base.databases, &mut surveys);
    progress.step(format!(
        "compiling {} before the change",
        counted(base.inputs.topology.services.len(), "service")
    ));
    let conditions = Arc::new(base.inputs.conditions.clone());
    let before =
        Compilation::new(Arc::clone(&compiler), conditions).finish(&mut surveys, &mut wheels);
    progress.step("compiling what the change concerns");
    let conditions = Arc::new(inputs.conditions);
    let after = if !Arc::ptr_eq(&base.databases, &databases) {
        surveys = Surveys::default();
        let compiler = compiler_of(&inputs.topology, &databases, &mut surveys);
        Compilation::new(compiler, conditions).finish(&mut surveys, &mut wheels)
    } else {
        let compiler = match Arc::ptr_eq(&base.inputs.topology, &inputs.topology) {
            true => compiler,
            false => compiler.next(Arc::clone(&inputs.topology), &databases, &mut surveys),
        };
        let compilation = Compilation::after(&before, compiler, conditions);
        compilation.finish(&mut surveys, &mut wheels)
    };
    ComparedSides {
        before: CompiledSide { source: base.source, compiled: before, databases: base.databases },
        after: CompiledSide { source, compiled: after, databases },
        surveys,
        notes: base.notes,
        rules: base.rules,
        options: base.options,
    }
}
