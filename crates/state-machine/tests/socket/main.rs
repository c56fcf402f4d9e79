//! The socket's rules as scripts: events at their times, and the effects that they bring.

mod bench;
mod button_led;
mod commands;
mod d2d;
mod documentation;
mod maintenance;
mod meter_fault;
mod model;
mod outbox;
mod protection;
mod reboot;
mod reports;
mod start;
mod stores;
mod supply_loss;
