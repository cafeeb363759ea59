namespace Kwik.Data.Tests;

public sealed class TokenBucketTests
{
    private readonly Clock _clock = new();

    [Fact]
    public void Burst_Spent_ComesBackWithTime()
    {
        var bucket = new TokenBucket(_clock, perSecond: 10, burst: 20);

        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => bucket.TryTake()));
        _clock.Milliseconds += 99;
        Assert.False(bucket.TryTake());
        _clock.Milliseconds += 1;
        Assert.True(bucket.TryTake());
        _clock.Milliseconds += 1_000_000;
        Assert.Equal(20, Enumerable.Range(0, 100).Count(_ => bucket.TryTake()));
    }

    [Fact]
    public void WhatIsGivenBack_CanBeTakenAgainAndNoMore()
    {
        var bucket = new TokenBucket(_clock, perSecond: 10, burst: 2);
        bucket.GiveBack();
        Assert.True(bucket.TryTake());
        Assert.True(bucket.TryTake());
        Assert.False(bucket.TryTake());
        bucket.GiveBack();
        Assert.True(bucket.TryTake());
        Assert.False(bucket.TryTake());
    }

    [Fact]
    public void Reservations_BeyondTheBurst_WaitOneBehindTheOther()
    {
        var bucket = new TokenBucket(_clock, perSecond: 10, burst: 2);

        Assert.Equal(
            [0, 0, 100, 200, 300],
            Enumerable.Range(0, 5).Select(_ => (int)bucket.Reserve().TotalMilliseconds));
        _clock.Milliseconds += 300;
        Assert.Equal(100, (int)bucket.Reserve().TotalMilliseconds);
    }

    [Fact]
    public void TryTake_MoreThanThereIs_TakesNothing()
    {
        var bucket = new TokenBucket(_clock, perSecond: 100, burst: 50);
        Assert.False(bucket.TryTake(51));
        Assert.True(bucket.TryTake(40));
        Assert.False(bucket.TryTake(11));
        Assert.True(bucket.TryTake(10));
    }

    [Fact]
    public void TimeUntil_TokensThatAreMissing_IsWhenTheyCanBeTaken()
    {
        var bucket = new TokenBucket(_clock, perSecond: 100, burst: 50);
        Assert.Equal(TimeSpan.Zero, bucket.TimeUntil(50));
        Assert.True(bucket.TryTake(50));
        Assert.Equal(200, (int)bucket.TimeUntil(20).TotalMilliseconds);
        _clock.Milliseconds += 150;
        Assert.Equal(50, (int)bucket.TimeUntil(20).TotalMilliseconds);
        Assert.False(bucket.TryTake(20));
        _clock.Milliseconds += 50;
        Assert.Equal(TimeSpan.Zero, bucket.TimeUntil(20));
        Assert.True(bucket.TryTake(20));
    }

    /// <summary>Fractions of a token are lost in arithmetic; who is told that it need not wait gets its tokens all the same.</summary>
    [Fact]
    public void TimeUntil_Zero_IsSaidOnlyWhenTheyCanBeTaken()
    {
        var random = new Random(1);
        for (int i = 0; i < 1000; i++)
        {
            int perSecond = random.Next(1, 2000);
            var bucket = new TokenBucket(_clock, perSecond, perSecond);
            for (int step = 0; step < 20; step++)
            {
                int tokens = random.Next(1, perSecond + 1);
                TimeSpan wait = bucket.TimeUntil(tokens);
                Assert.Equal(wait == TimeSpan.Zero, bucket.TryTake(tokens));
                _clock.Milliseconds += random.Next(3) == 0 ? (long)Math.Ceiling(wait.TotalMilliseconds) : random.Next(100);
            }
        }
    }

    private sealed class Clock : TimeProvider
    {
        public long Milliseconds { get; set; }

        public override long TimestampFrequency => 1000;

        public override long GetTimestamp() => Milliseconds;
    }
}
