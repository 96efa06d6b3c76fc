//! Prints `METHOD PATH` for each of the 52 environment routes, from the table that builds the
//! requests.

fn main() {
    for route in zadig_client::ROUTES {
        println!("{} {}", route.verb, route.path);
    }
}
