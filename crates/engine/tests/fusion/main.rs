//! What webhooks do to jobs: the production planner over the real store, in virtual time, against the
//! sandbox's model of ProductAI, with webhooks that come, get lost, lie or name no job.

#[cfg(test)]
mod world;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use domain::{Status, Timestamp};
    use engine::WebhookTrust;

    use super::world::{START, World, lane};

    const MINUTE: Duration = Duration::from_secs(60);

    fn within(seconds: u64) -> Timestamp {
        START + Duration::from_secs(seconds)
    }

    #[tokio::test]
    async fn a_webhook_through_the_path_ends_its_job_without_a_read() {
        let mut world = World::new(WebhookTrust::Token, 60, |_| {}).await;
        world.play().await;
        world.check_ends_once().await;
        let polls = world.polls();
        assert!(polls <= 15, "{polls} polls of 60 jobs");
        let told = world.events_with("told_by").await;
        assert!(told >= 45, "{told} of 60 were told by a webhook");
    }

    #[tokio::test]
    async fn where_webhooks_are_verified_each_job_is_read_once_and_soon() {
        let mut world = World::new(WebhookTrust::Verify, 60, |_| {}).await;
        world.play().await;
        world.check_ends_once().await;
        assert_eq!(world.events_with("told_by").await, 0);
        let polls = world.polls();
        assert!((60..=75).contains(&polls), "{polls} polls of 60 jobs");
    }

    /// Somebody who knows the path says of each job, as soon as it runs, that it is done, and names an image of
    /// their own at the provider's own host.
    #[tokio::test]
    async fn a_forged_success_is_found_by_the_sample_and_switches_back() {
        let mut world = World::new(WebhookTrust::Token, 400, |options| {
            options.duration_median_ms = 60_000;
        })
        .await;
        // The host is known by then.
        world.play_until(|world| world.polls() >= 5).await;
        world.silent = true;
        while !world.is_forged().await {
            assert!(world.now < within(3 * 3_600), "nobody noticed");
            world.forge_all().await;
            world.go_on(MINUTE / 12).await;
        }
        let status = world.store.pauses(&[lane()]).await.unwrap();
        assert_eq!(status[0].endpoints, "webhooks");
        assert!(status[0].message.contains("change the path"), "{status:?}");
        assert_eq!(status[0].until, None);
        // The one that was held is not done with what it was told, nor is any that comes after.
        let warned = world.warned().await;
        assert!(!warned.is_empty());
        let lied = world.foreign().await;
        assert!(warned.iter().all(|held| !lied.contains(held)));
        // It outlasts the process.
        world.restart().await;
        world.forge_all().await;
        world.go_on(MINUTE).await;
        world.forge_all().await;
        world.go_on(MINUTE).await;
        assert_eq!(world.foreign().await, lied);
        // Until a person says otherwise.
        world.ask("resume", Some("webhooks")).await;
        assert!(!world.is_forged().await);
        world.silent = false;
        world.play().await;
        world.check_ends_once().await;
        assert_eq!(world.foreign().await, lied);
    }

    #[tokio::test]
    async fn a_host_that_no_read_has_shown_is_never_believed() {
        let mut world = World::new(WebhookTrust::Token, 1, |_| {}).await;
        world.play_until(|world| world.running() == 1).await;
        world.forge_all().await;
        world.play().await;
        assert_eq!(world.foreign().await, []);
        assert!(world.is_forged().await);
        world.check_ends_once().await;
    }

    /// The webhook is there before the answer to the poll that found the same.
    #[tokio::test]
    async fn a_webhook_and_a_poll_that_race_end_a_job_once() {
        for trust in [WebhookTrust::Token, WebhookTrust::Verify] {
            let mut world = World::new(trust, 25, |_| {}).await;
            // Polls are long on their way back, so that webhooks overtake many of them.
            world.back = Duration::from_secs(9);
            world.play().await;
            world.check_ends_once().await;
        }
    }

    #[tokio::test]
    async fn a_silent_channel_is_noticed_and_polls_go_on_until_it_rings_again() {
        let mut world = World::new(WebhookTrust::Token, 150, |_| {}).await;
        world.play_until(|world| world.known() >= 50).await;
        let polls = world.polls();
        world.silent = true;
        world.play_until(|world| world.known() >= 100).await;
        let silent = world.polls() - polls;
        world.silent = false;
        world.play_until(|world| world.known() >= 115).await;
        let polls = world.polls();
        world.play_until(|world| world.known() >= 145).await;
        let again = world.polls() - polls;
        world.play().await;
        world.check_ends_once().await;
        assert!(silent >= 40, "50 silent jobs were polled {silent} times");
        assert!(again <= 15, "30 jobs that rang were polled {again} times");
        let late = world.latest_end();
        assert!(
            late < Duration::from_secs(200),
            "one was known {late:?} after its end"
        );
    }

    /// Three jobs run, and one of them fails: what jobs of their age do tells who it was.
    #[tokio::test]
    async fn after_a_call_without_a_name_the_likeliest_is_asked_first() {
        // More than the budget has room for: else each is polled at that interval anyway.
        let interval = Duration::from_secs(1);
        let mut world = World::at_interval(interval, WebhookTrust::Token, 43, |options| {
            options.duration_sigma = 0.2;
        })
        .await;
        world.play_until(|world| world.known() >= 40).await;
        world.go_on(MINUTE * 2).await;
        assert_eq!(world.known(), 43);
        let before = world.polls();
        let jobs = world.insert_apart(3, Duration::from_secs(12)).await;
        world.silent = true;
        // The first is 31 s old then, the others 19 and 7.
        world.go_on(Duration::from_secs(31)).await;
        assert_eq!(world.polls(), before, "nobody was asked yet");
        world.call("{\"status\":\"error\"}").await;
        world.go_on(Duration::from_secs(3)).await;
        let asked = world.asked_since(before).await;
        assert_eq!(asked, jobs, "the likeliest first");
        world.play().await;
    }

    #[tokio::test]
    async fn on_an_idle_account_trusted_webhooks_make_no_poll_later() {
        for trust in [WebhookTrust::Token, WebhookTrust::Verify] {
            let mut world = World::new(trust, 40, |options| {
                options.duration_median_ms = 60_000;
                options.duration_sigma = 0.1;
            })
            .await;
            world.play().await;
            world.go_on(MINUTE * 2).await;
            let before = world.polls();
            world.silent = true;
            let from = world.now;
            world.insert_apart(1, Duration::ZERO).await;
            world.go_on(Duration::from_secs(40)).await;
            let log = world.poll_log().skip(before);
            let mut polled = vec![from];
            polled.extend(log.map(|entry| Timestamp::from_millis(entry.at_ms)));
            assert!(polled.len() >= 8, "{polled:?}");
            for pair in polled.windows(2) {
                let gap = pair[1].since(pair[0]);
                assert!(gap <= Duration::from_millis(5_900), "{gap:?}: {polled:?}");
            }
            world.play().await;
            world.check_ends_once().await;
        }
    }

    #[tokio::test]
    async fn what_the_provider_failed_is_found_by_few_polls() {
        let mut world = World::new(WebhookTrust::Token, 120, |options| {
            options.error_share = 0.1;
        })
        .await;
        world.play().await;
        let failed = world.count(Status::Failed).await;
        assert!(failed >= 5, "{failed} failed");
        let polls = world.polls();
        assert!(
            polls <= 15 + 3 * failed,
            "{polls} polls for {failed} failures"
        );
        world.check_ends_once().await;
    }
}
