namespace Kwik.Relay.Tests;

public class DelayLineTests
{
    private static readonly byte[] Datagram = new byte[1200];

    [Fact]
    public void TryTake_BeforeAndAtTheTime_GivesNothingThenTheDatagram()
    {
        var line = new DelayLine<int>();
        Assert.Null(line.NextDue);
        line.Add(1, new() { Departure = Ms(1), Propagation = Ms(20) });
        Assert.Equal(Ms(21), line.NextDue);
        Assert.False(line.TryTake(Ms(21) - TimeSpan.FromTicks(1), out _));
        Assert.True(line.TryTake(Ms(21), out int taken));
        Assert.Equal(1, taken);
        Assert.Equal(0, line.Count);
        Assert.Null(line.NextDue);
    }

    [Theory]
    [InlineData(0UL)]
    [InlineData(1UL)]
    [InlineData(2UL)]
    public void TryTake_JitterWithoutReordering_KeepsOrder(ulong seed)
    {
        int[] arrived = Pass(new() { Delay = Ms(5), Jitter = Ms(50) }, seed, 5000);
        Assert.Equal(Enumerable.Range(0, 5000), arrived);
    }

    [Fact]
    public void TryTake_Reordering_OvertakesOnlyTheHeldBack()
    {
        int[] arrived = Pass(new() { Reordering = 0.1, ReorderingDelay = Ms(3) }, 1, 5000);
        Assert.Equal(Enumerable.Range(0, 5000), arrived.Order());
        int overtaken = arrived.Where((datagram, place) => place > 0 && datagram < arrived[..place].Max()).Count();
        Assert.InRange(overtaken, 400, 600);
    }

    [Fact]
    public void NextDue_HeldBackAndInOrder_IsTheEarlier()
    {
        var line = new DelayLine<int>();
        line.Add(1, new() { Departure = Ms(1), HoldBack = Ms(5) });
        line.Add(2, new() { Departure = Ms(10) });
        Assert.False(line.TryTake(Ms(1), out _));
        Assert.Equal(Ms(6), line.NextDue);
        Assert.True(line.TryTake(Ms(10), out int taken)); // looked at late: by time all the same
        Assert.Equal(1, taken);
        Assert.Equal(Ms(10), line.NextDue);
    }

    [Fact]
    public void Stretch_MovesWhatWaits_AndLeavesWhatIsUnderWay()
    {
        var line = new DelayLine<int>();
        line.Add(1, new() { Departure = Ms(1), Propagation = Ms(20) });
        line.Add(2, new() { Departure = Ms(101), Propagation = Ms(20) });
        line.Stretch(Ms(2), 0.1);
        Assert.True(line.TryTake(Ms(21), out _));
        Assert.Equal(Ms(2 + 9.9 + 20), line.NextDue);
    }

    [Fact]
    public void Stretch_ToNoBottleneck_LetsAllGo()
    {
        var options = new LinkOptions { BitsPerSecond = 9600 }; // 1 s a datagram
        var shaper = new LinkShaper(options, 0);
        var line = new DelayLine<int>();
        for (int i = 0; i < 10; i++)
        {
            line.Add(i, shaper.Offer(Datagram, default));
        }

        line.Stretch(Ms(500), shaper.Change(new(), Ms(500)));
        for (int i = 0; i < 10; i++)
        {
            Assert.True(line.TryTake(Ms(500), out int taken));
            Assert.Equal(i, taken);
        }
    }

    /// <summary>For any window of the output: no more than the rate gives in it, and a datagram at its edge.</summary>
    [Fact]
    public void TryTake_AnyWindow_HoldsTheRate()
    {
        var options = new LinkOptions { BitsPerSecond = 20_000_000, Delay = Ms(10), QueueBytes = 100_000 };
        var shaper = new LinkShaper(options, 9);
        var random = new Random(9);
        var line = new DelayLine<int>();
        var departures = new List<(TimeSpan Time, int Bytes)>();
        for (TimeSpan now = default; now < TimeSpan.FromSeconds(2); now += Ms(random.NextDouble()))
        {
            int bytes = random.Next(1, 1200);
            LinkVerdict verdict = shaper.Offer(Datagram.AsSpan(0, bytes), now);
            if (verdict.Drop == LinkDrop.None)
            {
                line.Add(bytes, verdict);
            }

            while (line.NextDue is { } due && due <= now && line.TryTake(due, out int taken))
            {
                departures.Add((due, taken));
            }
        }

        Assert.True(departures.Count > 1000);
        for (int first = 0; first < departures.Count; first += 37)
        {
            double allowed = 0;
            for (int last = first + 1; last < departures.Count; last++)
            {
                allowed += departures[last].Bytes * 8;
                double window = (departures[last].Time - departures[first].Time).TotalSeconds;
                Assert.True(window * 20e6 >= allowed - 20, $"{allowed} bits within {window} s"); // 20: ticks are rounded
            }
        }
    }

    private static int[] Pass(LinkOptions options, ulong seed, int count)
    {
        var shaper = new LinkShaper(options, seed);
        var line = new DelayLine<int>();
        var arrived = new List<int>();
        for (int i = 0; i < count; i++)
        {
            line.Add(i, shaper.Offer(Datagram, Ms(i)));
            Drain(Ms(i));
        }

        Drain(TimeSpan.MaxValue);
        return [.. arrived];

        void Drain(TimeSpan until)
        {
            while (line.NextDue is { } due && due <= until && line.TryTake(due, out int datagram))
            {
                arrived.Add(datagram);
            }
        }
    }

    private static TimeSpan Ms(double milliseconds) => TimeSpan.FromMilliseconds(milliseconds);
}
