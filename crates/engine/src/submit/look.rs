//! Source images are looked at before their jobs are paid for, by the hands; here is what the planner makes
//! of what they saw. An image that several rows share is asked for once. Only what is proven fails a row: an
//! image that cannot be seen from here goes on with a warning, after a few looks.

use std::time::Duration;

use domain::{Fault, ImageSource, Invalid, Request, Timestamp};
use providers::fetch::Look;

use super::source::Link;
use crate::account::Account;
use crate::act::Act;
use crate::draft::Draft;
use crate::flight::Flight;
use crate::planner::Engine;

/// A good image is not looked at again for so long.
const KEPT: Duration = Duration::from_secs(600);
/// A bad one may have been mended, and its row sent again by a person.
const KEPT_BAD: Duration = Duration::from_secs(30);
/// Looks at an image whose host does not answer, before its job goes on all the same.
const MOST_LOOKS: u32 = 3;
/// Between the first two of them; it doubles.
const FIRST_WAIT: Duration = Duration::from_secs(5);
/// A look that told nothing for so long was lost with its process or its lane.
const LOST: Duration = Duration::from_secs(60);
/// Looks under way at once in one lane.
const AT_ONCE: usize = 16;

/// What is known of a source image.
#[derive(Debug, Clone)]
pub(crate) enum Seen {
    /// The hands are looking, for the n-th time, since this moment.
    Asked(u32, Timestamp),
    /// They saw this at the n-th look.
    Saw(Look, u32, Timestamp),
}

impl Engine {
    /// The URL of a source image, once it was looked at.
    pub(super) fn looked_at(
        &self,
        url: &str,
        account: &Account,
        now: Timestamp,
        draft: &mut Draft,
    ) -> Link {
        if !account.policy.check_sources {
            return Link::Known(url.to_owned());
        }
        let young = |at: &Timestamp, span| now.since(*at) < span;
        match self.looks.get(url) {
            Some(Seen::Asked(_, at)) if young(at, LOST) => return Link::NotNow,
            Some(Seen::Saw(Look::Broken { code, why }, _, at)) if young(at, KEPT_BAD) => {
                return Link::Gone(Invalid {
                    code,
                    message: why.clone(),
                });
            }
            Some(Seen::Saw(Look::Unreachable { why }, looks, at)) if *looks < MOST_LOOKS => {
                let again = *at + FIRST_WAIT * 2_u32.pow(looks.saturating_sub(1));
                if again > now {
                    return Link::Later(again, Fault::new("source_unreachable", why.clone()));
                }
            }
            Some(Seen::Saw(Look::Fine | Look::Unsure { .. } | Look::Unreachable { .. }, _, at))
                if young(at, KEPT) =>
            {
                return Link::Known(url.to_owned());
            }
            Some(Seen::Asked(..) | Seen::Saw(..)) | None => {}
        }
        draft
            .looks_wanted
            .insert(url.to_owned(), account.name.clone());
        Link::NotNow
    }

    /// What a person should know about the images of a request that goes.
    pub(super) fn doubt_about_images(
        &self,
        request: &Request,
        account: &Account,
    ) -> Option<String> {
        let images = match request {
            Request::Generate { images, .. } => images.as_slice(),
            Request::Upscale { image } => std::slice::from_ref(image),
            Request::Description { .. } | Request::Production { .. } => &[],
        };
        if !account.policy.check_sources {
            return None;
        }
        images.iter().find_map(|image| match image {
            ImageSource::Url(url) => match self.looks.get(url) {
                Some(Seen::Saw(Look::Unsure { why } | Look::Unreachable { why }, ..)) => {
                    Some(why.clone())
                }
                _ => None,
            },
            ImageSource::Job(_) => None,
        })
    }

    /// Sends the hands to the images that pending rows want and nobody has looked at.
    pub(super) fn look_at_images(&mut self, now: Timestamp, draft: &mut Draft) {
        self.looks.retain(|_, seen| match seen {
            Seen::Asked(_, at) => now.since(*at) < KEPT,
            Seen::Saw(Look::Broken { .. }, _, at) => now.since(*at) < KEPT_BAD,
            Seen::Saw(_, _, at) => now.since(*at) < KEPT,
        });
        for (url, name) in std::mem::take(&mut draft.looks_wanted) {
            let Some(lane) = self.accounts.get(&name).map(|account| &account.lane) else {
                continue;
            };
            let under_way = self
                .flights
                .values()
                .filter(|flight| matches!(flight, Flight::Look { lane: of, .. } if of == lane));
            if under_way.count() >= AT_ONCE {
                // Each answer brings the rows that wait up again.
                continue;
            }
            let lane = lane.clone();
            let flight = self.ids.next(now);
            draft.acts.push(Act::Look {
                flight: flight.clone(),
                account: name,
                url: url.clone(),
            });
            let looks = match self.looks.get(&url) {
                Some(Seen::Saw(_, looks, _) | Seen::Asked(looks, _)) => looks + 1,
                None => 1,
            };
            let url_of_flight = url.clone();
            self.flights.insert(
                flight,
                Flight::Look {
                    lane,
                    url: url_of_flight,
                },
            );
            self.looks.insert(url, Seen::Asked(looks, now));
        }
    }

    /// The hands have looked: rows that wait for it are looked at again.
    pub(crate) fn hear_look(&mut self, url: String, look: &Look, at: Timestamp) {
        let looks = match self.looks.get(&url) {
            Some(Seen::Asked(looks, _) | Seen::Saw(_, looks, _)) => *looks,
            None => 1,
        };
        self.looks.insert(url, Seen::Saw(look.clone(), looks, at));
        for lane in self.lanes.values_mut() {
            lane.idle_until = None;
        }
    }
}
