namespace Kwik.Relay.Tests;

public class LinkShaperTests
{
    private static readonly byte[] Datagram = new byte[1200];

    [Fact]
    public void Offer_NothingAsked_DepartsAtOnce()
    {
        var shaper = new LinkShaper(new(), 0);
        Assert.Equal(new() { Departure = Ms(5) }, shaper.Offer(Datagram, Ms(5)));
    }

    [Theory]
    [InlineData(1_000_000)]
    [InlineData(7_777_777)]
    [InlineData(300_000_000)]
    [InlineData(1_000_000_000)]
    public void Offer_Backlogged_DepartsAtExactlyTheRate(long bitsPerSecond)
    {
        const int count = 100_000;
        var shaper = new LinkShaper(new() { BitsPerSecond = bitsPerSecond, QueueBytes = long.MaxValue }, 0);
        TimeSpan last = default;
        for (int i = 0; i < count; i++)
        {
            last = shaper.Offer(Datagram, default).Departure;
        }

        double exact = count * 1200.0 * 8 / bitsPerSecond;
        Assert.InRange(last.TotalSeconds, exact, exact + 1e-6);
    }

    [Fact]
    public void Offer_AfterIdleTime_SavesNoCapacity()
    {
        var shaper = new LinkShaper(new() { BitsPerSecond = 9_600_000 }, 0); // 1 ms a datagram
        Assert.Equal(Ms(1), shaper.Offer(Datagram, default).Departure);
        Assert.Equal(Ms(101), shaper.Offer(Datagram, Ms(100)).Departure);
        Assert.Equal(Ms(102), shaper.Offer(Datagram, Ms(100)).Departure);
    }

    [Fact]
    public void Offer_ToldLateWhileBacklogged_LosesNoCapacity()
    {
        var shaper = new LinkShaper(new() { BitsPerSecond = 9_600_000 }, 0);
        shaper.Offer(Datagram, default);
        shaper.Offer(Datagram, default);
        Assert.Equal(Ms(3), shaper.Offer(Datagram, Ms(1.9)).Departure);
    }

    [Fact]
    public void Offer_QueueFull_DropsTheTail()
    {
        var shaper = new LinkShaper(new() { BitsPerSecond = 9_600_000, QueueBytes = 3600 }, 0);
        LinkDrop[] drops = [.. Enumerable.Range(0, 5).Select(_ => shaper.Offer(Datagram, default).Drop)];
        Assert.Equal([LinkDrop.None, LinkDrop.None, LinkDrop.None, LinkDrop.QueueFull, LinkDrop.QueueFull], drops);
        Assert.Equal(LinkDrop.QueueFull, shaper.Offer(Datagram, Ms(0.9)).Drop);
        Assert.Equal(Ms(4), shaper.Offer(Datagram, Ms(1)).Departure);
    }

    [Fact]
    public void Offer_DatagramLongerThanTheQueue_PassesAnIdleLink()
    {
        var shaper = new LinkShaper(new() { BitsPerSecond = 9_600_000, QueueBytes = 100 }, 0);
        Assert.Equal(Ms(1), shaper.Offer(Datagram, default).Departure);
        Assert.Equal(LinkDrop.QueueFull, shaper.Offer(Datagram, Ms(0.5)).Drop);
        Assert.Equal(Ms(2), shaper.Offer(Datagram, Ms(1)).Departure);
    }

    [Fact]
    public void Offer_DelayAndJitter_StayBetweenTheirBounds()
    {
        var shaper = new LinkShaper(new() { Delay = Ms(20), Jitter = Ms(10) }, 1);
        double[] ms = [.. Enumerable.Range(0, 10_000).Select(_ => shaper.Offer(Datagram, default).Propagation.TotalMilliseconds)];
        Assert.InRange(ms.Min(), 20, 20.1);
        Assert.InRange(ms.Max(), 29.9, 30);
        Assert.InRange(ms.Average(), 24.8, 25.2);
    }

    [Theory]
    [InlineData(0.02, 1)]
    [InlineData(0.02, 3)]
    [InlineData(0.30, 3)]
    [InlineData(0.5, 10)]
    public void Offer_Loss_HasTheShareAndTheBurstsAskedFor(double share, int burst)
    {
        const int count = 200_000;
        var shaper = new LinkShaper(new() { Loss = share, LossBurst = burst }, 42);
        int lost = 0, run = 0;
        for (int i = 0; i < count; i++)
        {
            if (shaper.Offer(Datagram, default).Drop == LinkDrop.Loss)
            {
                lost++;
                run++;
            }
            else
            {
                Assert.Equal(0, run % burst); // bursts are whole; two may follow each other
                run = 0;
            }
        }

        Assert.InRange(lost / (double)count, share * 0.93, share * 1.07);
    }

    [Theory]
    [InlineData(0, 0)]
    [InlineData(1, 1000)]
    public void Offer_CertainShares_AreCertain(double share, int expected)
    {
        var shaper = new LinkShaper(new() { Duplication = share, Corruption = share, Reordering = share }, 3);
        LinkVerdict[] verdicts = [.. Enumerable.Range(0, 1000).Select(_ => shaper.Offer(Datagram, default))];
        Assert.Equal(expected, verdicts.Count(verdict => verdict.Duplicate));
        Assert.Equal(expected, verdicts.Count(verdict => verdict.FlippedBit is not null));
        Assert.Equal(expected, verdicts.Count(verdict => verdict.HoldBack is not null));
        Assert.All(verdicts, verdict => Assert.Equal(LinkDrop.None, verdict.Drop));
    }

    [Fact]
    public void Offer_Shares_AreRoughlyWhatWasAskedFor()
    {
        var shaper = new LinkShaper(new() { Duplication = 0.1, Corruption = 0.05, Reordering = 0.2, ReorderingDelay = Ms(7) }, 5);
        LinkVerdict[] verdicts = [.. Enumerable.Range(0, 20_000).Select(_ => shaper.Offer(Datagram, default))];
        Assert.InRange(verdicts.Count(verdict => verdict.Duplicate), 1800, 2200);
        Assert.InRange(verdicts.Count(verdict => verdict.HoldBack == Ms(7)), 3700, 4300);
        int[] bits = [.. verdicts.Where(verdict => verdict.FlippedBit is not null).Select(verdict => verdict.FlippedBit!.Value)];
        Assert.InRange(bits.Length, 880, 1120);
        Assert.InRange(bits.Min(), 0, 200);
        Assert.InRange(bits.Max(), 9400, 9599);
    }

    [Theory]
    [InlineData(0, 1.0, false, true)]
    [InlineData(1, 0.0, true, false)]
    [InlineData(1, null, true, true)]
    public void Offer_LongHeaderCorruption_IsOfLongHeadersAlone(double others, double? longHeaders, bool shortIsHit, bool longIsHit)
    {
        var shaper = new LinkShaper(new() { Corruption = others, LongHeaderCorruption = longHeaders }, 0);
        Assert.Equal(shortIsHit, shaper.Offer([0x40, 1, 2], default).FlippedBit is not null);
        Assert.Equal(longIsHit, shaper.Offer([0xC0, 1, 2], default).FlippedBit is not null);
        Assert.Null(shaper.Offer([], default).FlippedBit);
    }

    [Fact]
    public void Offer_MaxDatagramBytes_DropsWhatIsLonger()
    {
        var shaper = new LinkShaper(new() { MaxDatagramBytes = 1200, BitsPerSecond = 9_600_000 }, 0);
        Assert.Equal(LinkDrop.TooLong, shaper.Offer(new byte[1201], default).Drop);
        Assert.Equal(Ms(1), shaper.Offer(Datagram, default).Departure); // and it took no capacity
    }

    [Fact]
    public void Offer_DropPositions_AreTheArrivalsSinceTheOptionsBecameEffective()
    {
        var options = new LinkOptions { DropPositions = new HashSet<long> { 1, 4, 5 } };
        var shaper = new LinkShaper(options, 0);
        Assert.Equal([1, 4, 5], Dropped());
        Assert.Empty(Dropped());
        shaper.Change(options with { DropPositions = new HashSet<long> { 2 } }, default);
        Assert.Equal([2], Dropped());

        int[] Dropped() =>
            [.. Enumerable.Range(1, 10).Where(_ => shaper.Offer(Datagram, default).Drop == LinkDrop.Loss)];
    }

    [Fact]
    public void Offer_BlackHole_TakesEverythingAndNoCapacity()
    {
        var open = new LinkOptions { BitsPerSecond = 9_600_000 };
        var shaper = new LinkShaper(open with { BlackHole = true }, 0);
        Assert.All(Enumerable.Range(0, 100), _ => Assert.Equal(LinkDrop.BlackHole, shaper.Offer(Datagram, default).Drop));
        shaper.Change(open, default);
        Assert.Equal(Ms(1), shaper.Offer(Datagram, default).Departure);
    }

    [Fact]
    public void Change_OfRate_GoesOnFromWhatWaits()
    {
        var options = new LinkOptions { BitsPerSecond = 9_600_000 };
        var shaper = new LinkShaper(options, 0);
        for (int i = 0; i < 5; i++)
        {
            shaper.Offer(Datagram, default);
        }

        Assert.Equal(0.1, shaper.Change(options with { BitsPerSecond = 96_000_000 }, Ms(1)), 12); // 4 ms become 0.4
        Assert.Equal(Ms(1.5), shaper.Offer(Datagram, Ms(1)).Departure);
        Assert.Equal(10, shaper.Change(options, Ms(1)), 12);
        Assert.Equal(Ms(7), shaper.Offer(Datagram, Ms(1)).Departure);
        Assert.Equal(0, shaper.Change(options with { BitsPerSecond = null }, Ms(1)));
        Assert.Equal(Ms(1), shaper.Offer(Datagram, Ms(1)).Departure);
        Assert.Equal(1, shaper.Change(options, Ms(1)));
        Assert.Equal(Ms(2), shaper.Offer(Datagram, Ms(1)).Departure);
    }

    [Fact]
    public void Change_ToInvalidOptions_ChangesNothing()
    {
        var shaper = new LinkShaper(new() { Delay = Ms(3) }, 0);
        Assert.Throws<ArgumentOutOfRangeException>(() => shaper.Change(new() { Loss = -1 }, default));
        Assert.Equal(Ms(3), shaper.Offer(Datagram, default).Propagation);
    }

    [Fact]
    public void Offer_SameSeed_SameVerdicts()
    {
        Assert.Equal(Verdicts(seed: 7), Verdicts(seed: 7));
        Assert.NotEqual(Verdicts(seed: 7), Verdicts(seed: 8));

        static LinkVerdict[] Verdicts(ulong seed)
        {
            var options = new LinkOptions
            {
                BitsPerSecond = 50_000_000,
                QueueBytes = 20_000,
                Delay = Ms(10),
                Jitter = Ms(5),
                Loss = 0.1,
                LossBurst = 2,
                Reordering = 0.1,
                Duplication = 0.1,
                Corruption = 0.1,
            };
            var shaper = new LinkShaper(options, seed);
            var verdicts = new List<LinkVerdict>();
            for (int i = 0; i < 1000; i++)
            {
                if (i == 500)
                {
                    shaper.Change(options with { BitsPerSecond = 10_000_000, Loss = 0.3 }, Ms(50));
                }

                verdicts.Add(shaper.Offer(Datagram.AsSpan(0, 100 + i), Ms(i * 0.1)));
            }

            return [.. verdicts];
        }
    }

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
