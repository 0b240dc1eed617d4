//! A compilation: new charts for the plans that a change touches, the earlier charts for all
//! others. A newer change can interrupt it and is then compiled first.

use std::{collections::VecDeque, sync::Arc};

use super::{
    compiler::Compiler,
    search::{PoolSearch, WheelCache},
    survey::Surveys,
};
use crate::steer::{
    chart::Chart,
    model::{Conditions, ServiceId},
};

/// The maximum number of plans that are searched before their atlases are made.
const MAX_BATCH_PLANS: usize = 1024;
/// The maximum number of atlases that are made in one batch: each takes milliseconds with a large
/// database.
const MAX_PENDING_FOLDS: usize = 16;

/// The charts of all services, with the compiler and conditions that they were compiled from.
#[derive(Debug, Clone)]
pub struct CompiledCharts {
    compiler: Arc<Compiler>,
    conditions: Arc<Conditions>,
    by_plan: Vec<Arc<Chart>>,
    turn_counters: usize,
}

impl CompiledCharts {
    /// Every service's chart, by [`crate::steer::ServiceId`].
    pub fn charts(&self) -> Vec<Arc<Chart>> {
        self.compiler
            .plan_of()
            .iter()
            .map(|&plan| Arc::clone(&self.by_plan[plan as usize]))
            .collect()
    }

    /// The number of turn counters that the charts use.
    pub fn turn_counters(&self) -> usize {
        self.turn_counters
    }

    /// The compiler that made the charts.
    pub fn compiler(&self) -> &Arc<Compiler> {
        &self.compiler
    }

    /// The conditions under which they were compiled.
    pub fn conditions(&self) -> &Arc<Conditions> {
        &self.conditions
    }
}

/// A compilation in progress: charts for one set of conditions.
#[derive(Debug)]
pub struct Compilation {
    compiler: Arc<Compiler>,
    conditions: Arc<Conditions>,
    /// By plan: its chart, which is the earlier one while the plan is stale.
    by_plan: Vec<Option<Arc<Chart>>>,
    /// The plans to compile, the most urgent first.
    stale: VecDeque<u32>,
    is_stale: Vec<bool>,
    /// The number of plans at the front of `stale` that the newest conditions touch; 0 unless these
    /// arrived while other plans were being compiled.
    urgent: usize,
    /// The number of further plans that may overtake others. Each plan that was overtaken adds one
    /// when it is compiled, so that waiting plans get at least half of the time.
    credit: usize,
    compiled: usize,
}

/// The maximum credit: the number of plans that may overtake others at once.
const MAX_CREDIT: usize = 4096;

impl Compilation {
    /// A compilation of every plan.
    pub fn new(compiler: Arc<Compiler>, conditions: Arc<Conditions>) -> Self {
        let count = compiler.plans().len();
        Self::of_stale(compiler, conditions, vec![None; count], vec![true; count])
    }

    /// A compilation of the plans of these services alone. All other services get a chart without
    /// answers.
    pub fn of_services(
        compiler: Arc<Compiler>,
        conditions: Arc<Conditions>,
        services: impl Iterator<Item = ServiceId>,
    ) -> Self {
        let empty: Arc<Chart> = Arc::default();
        let mut is_stale = vec![false; compiler.plans().len()];
        services.for_each(|id| is_stale[compiler.plan_of()[id.index()] as usize] = true);
        let by_plan = vec![Some(empty); is_stale.len()];
        Self::of_stale(compiler, conditions, by_plan, is_stale)
    }

    /// A compilation of the plans whose inputs differ from those of `base`. The compiler is that of
    /// `base`, or was made from it by [`Compiler::next`].
    pub fn after(
        base: &CompiledCharts,
        compiler: Arc<Compiler>,
        conditions: Arc<Conditions>,
    ) -> Self {
        let mut is_stale = vec![false; compiler.plans().len()];
        let touched = compiler.touched((&base.compiler, &base.conditions), &conditions);
        touched.iter().for_each(|plan| is_stale[*plan as usize] = true);
        let is_same_compiler = Arc::ptr_eq(&base.compiler, &compiler);
        let mut by_plan = Vec::with_capacity(is_stale.len());
        for (index, plan) in compiler.plans().iter().enumerate() {
            let known =
                if is_same_compiler { Some(index) } else { base.compiler.position_of(plan) };
            let chart = known.map(|known| Arc::clone(&base.by_plan[known]));
            is_stale[index] |= chart.is_none();
            by_plan.push(chart);
        }
        Self::of_stale(compiler, conditions, by_plan, is_stale)
    }

    /// A compilation of the plans that `is_stale` marks; the other plans have a chart in `by_plan`.
    fn of_stale(
        compiler: Arc<Compiler>,
        conditions: Arc<Conditions>,
        by_plan: Vec<Option<Arc<Chart>>>,
        is_stale: Vec<bool>,
    ) -> Self {
        let stale =
            (0..).zip(&is_stale).filter(|(_, is_stale)| **is_stale).map(|(plan, _)| plan).collect();
        Self {
            compiler,
            conditions,
            by_plan,
            stale,
            is_stale,
            urgent: 0,
            credit: MAX_CREDIT,
            compiled: 0,
        }
    }

    /// Continues under newer conditions, and compiles the plans that these touch first. Returns
    /// `false` and changes nothing if they touch more plans than the credit allows, so that waiting
    /// plans would wait for too long.
    pub fn overtake(&mut self, conditions: &Arc<Conditions>) -> bool {
        let touched = self.compiler.touched((&self.compiler, &self.conditions), conditions);
        if touched.len() > self.credit {
            return false;
        }
        self.credit -= touched.len();
        self.conditions = Arc::clone(conditions);
        if touched.is_empty() {
            return true;
        }
        let urgent: VecDeque<u32> = self.stale.drain(..self.urgent).collect();
        let mut is_first = vec![false; self.is_stale.len()];
        touched.iter().chain(&urgent).for_each(|&plan| is_first[plan as usize] = true);
        self.stale.retain(|&plan| !is_first[plan as usize]);
        let mut first: Vec<u32> = touched.iter().chain(&urgent).copied().collect();
        first.sort_unstable();
        first.dedup();
        self.urgent = first.len();
        for plan in first.into_iter().rev() {
            self.is_stale[plan as usize] = true;
            self.stale.push_front(plan);
        }
        true
    }

    /// Compiles stale plans until none is left, the urgent ones are done, or `is_interrupted`,
    /// which is called after each plan, returns `true`.
    pub fn run(
        &mut self,
        surveys: &mut Surveys,
        wheels: &mut WheelCache,
        is_interrupted: &mut dyn FnMut() -> bool,
    ) {
        let (compiler, conditions) = (Arc::clone(&self.compiler), Arc::clone(&self.conditions));
        wheels.prune();
        let mut search = PoolSearch::new(compiler.topology(), &conditions, wheels);
        while !self.stale.is_empty() && !self.run_batch(&mut search, surveys, is_interrupted) {}
    }

    /// Compiles a batch. Returns whether the run ends: it was interrupted, or the last urgent plan
    /// is done.
    fn run_batch(
        &mut self,
        search: &mut PoolSearch<'_>,
        surveys: &mut Surveys,
        is_interrupted: &mut dyn FnMut() -> bool,
    ) -> bool {
        let mut drafts = Vec::new();
        let mut is_over = false;
        while drafts.len() < MAX_BATCH_PLANS
            && surveys.pending_folds() < MAX_PENDING_FOLDS
            && !is_over
        {
            let Some(plan) = self.stale.pop_front() else { break };
            drafts.push((plan, self.compiler.plans()[plan as usize].draft(search, surveys)));
            let was_last_urgent = self.urgent == 1;
            match self.urgent.checked_sub(1) {
                Some(urgent) => self.urgent = urgent,
                None => self.credit = MAX_CREDIT.min(self.credit + 1),
            }
            is_over = is_interrupted() || was_last_urgent;
        }
        surveys.make_folds();
        self.compiled += drafts.len();
        for (plan, draft) in drafts {
            self.is_stale[plan as usize] = false;
            self.by_plan[plan as usize] = Some(Arc::new(draft.chart(surveys)));
        }
        is_over
    }

    /// Whether no plan that newer conditions put first is left.
    pub fn has_caught_up(&self) -> bool {
        self.urgent == 0
    }

    /// The number of plans that are still to be compiled.
    pub fn remaining(&self) -> usize {
        self.stale.len()
    }

    /// The number of plans compiled so far; a plan whose conditions changed meanwhile counts each
    /// time.
    pub fn compiled_count(&self) -> usize {
        self.compiled
    }

    /// Compiles every plan that is left.
    pub fn finish(mut self, surveys: &mut Surveys, wheels: &mut WheelCache) -> CompiledCharts {
        while self.remaining() > 0 {
            self.run(surveys, wheels, &mut || false);
        }
        let by_plan = self.by_plan.into_iter().flatten().collect();
        CompiledCharts {
            compiler: self.compiler,
            conditions: self.conditions,
            by_plan,
            turn_counters: wheels.turn_counters(),
        }
    }

    /// The charts so far; a plan that is still to be compiled has its earlier chart. `None` if a
    /// plan has no chart yet.
    pub fn compiled(&self, wheels: &WheelCache) -> Option<CompiledCharts> {
        let by_plan = self.by_plan.iter().cloned().collect::<Option<Vec<_>>>()?;
        let (compiler, conditions) = (Arc::clone(&self.compiler), Arc::clone(&self.conditions));
        Some(CompiledCharts {
            compiler,
            conditions,
            by_plan,
            turn_counters: wheels.turn_counters(),
        })
    }
}

impl Compiler {
    /// Compiles the charts of all services without reusing any.
    pub fn compile(
        self: &Arc<Self>,
        conditions: &Conditions,
        surveys: &mut Surveys,
    ) -> CompiledCharts {
        let wheels = &mut WheelCache::default();
        let compilation = Compilation::new(Arc::clone(self), Arc::new(conditions.clone()));
        compilation.finish(surveys, wheels)
    }
}
