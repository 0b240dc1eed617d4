//! Two regions with their own balancers behind one service: HAProxy with real servers in one, nginx
//! in the other. Failures, load and commands move clients between them.
//!
//! | file | what it is, or what it proves |
//! |---|---|
//! | `site` | the two regions and their configuration |
//! | `load` | shares follow the load reports of balancers |
//! | `ramps` | clients return and leave gradually |
//! | `failover` | failback, trickle and spill |

mod failover;
mod load;
mod ramps;
mod site;
