//! The proof that a drain does what its reports say: two servers with the same files steer between
//! a region with HAProxy, one with nginx and one without checks.
//!
//! | file | content |
//! |---|---|
//! | `site` | the regions, the files, both servers, and commands for both |
//! | `rows` | what is asked: service, type and the clients of an area |
//! | `replies` | many queries at once, and the members that their answers name |
//! | `reports` | what the reports of one server say, by row |
//! | `agreement` | the comparison of all reports with 1,000 answers for each row |
//! | `table` | the table: one comparison for each state of the site |
//! | `under_load` | a drain during queries and HTTP sessions, watched to its end |
//! | `late_relay` | an admin address whose clock is ahead |

mod agreement;
mod late_relay;
mod replies;
mod reports;
mod rows;
mod site;
mod table;
mod under_load;
