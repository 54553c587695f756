"""Figures that rest on several views."""

from __future__ import annotations

import watersmeet as wm

from .views import films, movie_stats, review_sentiments

trending = wm.Query(
    "trending",
    inputs={"hourly": movie_stats.at("1h"), "films": films},
    key=["hour", "rank"],
    time="hour",
    sql="""
    with scored as (
      select window_start as hour, movie_id, velocity, acceleration,
             0.7 * velocity + 0.3 * coalesce(acceleration, 0) as heat
      from hourly where velocity is not null)
    select hour, row_number() over (partition by hour order by heat desc, movie_id) as rank, movie_id, title, genres,
           coalesce(ratio(100 * (rank() over (partition by hour order by heat) - 1),
                          count(*) over (partition by hour) - 1, 2), 100) as trending_score,
           velocity, acceleration
    from scored left join films using (movie_id) qualify rank <= 100""",
)

genre_analytics = wm.Query(
    "genre_analytics",
    key=["genre", "year", "month"],
    inputs={"films": films, "stats": movie_stats.at(None), "opinion": review_sentiments.at(None)},
    unsafe="avg_sentiment is the mean over films, as specified; avg_sentiment_weighted stands beside it",
    sql="""
    with film as (select unnest(genres) as genre, year(release_date) as year, month(release_date) as month, *
                  from films left join stats using (movie_id) left join opinion using (movie_id))
    select genre, year, month, count(*) as total_movies,
           ratio(sum(vote_average), count(vote_average), 2) as avg_rating, sum(vote_count) as total_votes,
           ratio(sum(popularity), count(popularity), 2) as avg_popularity,
           max(vote_average) as max_rating, min(vote_average) as min_rating,
           ratio(sum(avg_sentiment), count(avg_sentiment), 4) as avg_sentiment,
           ratio(sum(avg_sentiment * review_count), sum(review_count), 4) as avg_sentiment_weighted,
           sum(revenue) as total_revenue,
           list({movie_id: movie_id, title: title, revenue: revenue}
                order by vote_average desc nulls last, movie_id)[1:5] as top_movies
    from film group by all""",
)

sentiment_now = wm.Query(
    "sentiment_now",
    inputs={"opinion": review_sentiments.at(None), "films": films},
    key=["movie_id"],
    sql="""
    select movie_id, title, review_count, avg_sentiment, positive_count, negative_count, neutral_count,
           case when avg_sentiment >= 0.05 then 'positive'
                when avg_sentiment <= -0.05 then 'negative' else 'neutral' end as label
    from opinion left join films using (movie_id)""",
)
