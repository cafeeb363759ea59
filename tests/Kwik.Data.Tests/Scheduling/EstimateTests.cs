namespace Kwik.Data.Tests;

public sealed class EstimateTests
{
    [Fact]
    public void Rate_OfSteadyArrivals_IsTheirRate()
    {
        var rate = new RateEstimate();
        Arrive(rate, from: 0, milliseconds: 3000, bytesPerMillisecond: 1000);

        Assert.Equal(1e6, rate.BytesPerSecond, 1e3);
        Assert.InRange(rate.Measured, 2.9, 3);
    }

    [Fact]
    public void Rate_BeforeASecondArrival_IsUnknown()
    {
        var rate = new RateEstimate();
        Assert.Equal(0, rate.BytesPerSecond);

        // When these were sent is not known.
        rate.Arrived(1_000_000, Milliseconds(100));

        Assert.Equal(0, rate.BytesPerSecond);
        Assert.Equal(0, rate.Measured);
    }

    [Fact]
    public void Rate_AfterAPause_DoesNotCountThePause()
    {
        var rate = new RateEstimate();
        Arrive(rate, 0, 1000, 1000);
        rate.Pause();
        Arrive(rate, 61_000, 1000, 1000);

        Assert.Equal(1e6, rate.BytesPerSecond, 1e4);
        Assert.InRange(rate.Measured, 1.9, 2);
    }

    [Fact]
    public void Rate_OfASourceThatBecomesFaster_FollowsWithinHalfASecond()
    {
        var rate = new RateEstimate();
        Arrive(rate, 0, 5000, 100);
        Arrive(rate, 5000, 500, 1000);

        Assert.InRange(rate.BytesPerSecond, 750_000, 1_000_000);
    }

    [Fact]
    public void Rate_OfASourceThatIsShortlySilent_FallsSlowly()
    {
        var rate = new RateEstimate();
        Arrive(rate, 0, 5000, 1000);
        rate.Silent(Milliseconds(5300));
        Assert.InRange(rate.BytesPerSecond, 800_000, 900_000);

        rate.Silent(Milliseconds(15_000));
        Assert.InRange(rate.BytesPerSecond, 0, 10_000);
    }

    [Fact]
    public void Rate_OfSilenceBeforeAnything_StaysUnknown()
    {
        var rate = new RateEstimate();
        rate.Silent(Milliseconds(1000));

        Assert.Equal(0, rate.BytesPerSecond);
        Assert.Equal(0, rate.Measured);
    }

    [Fact]
    public void Mean_OfTheFirstSample_IsIt()
    {
        var mean = default(MeanAndDeviation);
        Assert.Equal(TimeSpan.Zero, mean.Expected);

        mean.Add(Milliseconds(80));

        Assert.Equal((Milliseconds(80), Milliseconds(40)), (mean.Mean, mean.Deviation));
        Assert.Equal(Milliseconds(240), mean.Expected);
    }

    [Fact]
    public void Mean_OfTheNextSample_MovesByAnEighthAndTheDeviationByAQuarter()
    {
        var mean = default(MeanAndDeviation);
        mean.Add(Milliseconds(80));
        mean.Add(Milliseconds(160));

        Assert.Equal((Milliseconds(90), Milliseconds(50)), (mean.Mean, mean.Deviation));
    }

    [Fact]
    public void Mean_OfEqualSamples_HasNoDeviationInTheEnd()
    {
        var mean = default(MeanAndDeviation);
        for (int i = 0; i < 100; i++)
        {
            mean.Add(Milliseconds(80));
        }

        Assert.Equal(Milliseconds(80), mean.Mean);
        Assert.InRange(mean.Deviation, TimeSpan.Zero, TimeSpan.FromMicroseconds(1));
    }

    [Fact]
    public void Rate_OfASourceThatWaitedForARequest_DoesNotCountTheRoundTrip()
    {
        var source = new DeliverySource(1, Milliseconds(100));
        for (int request = 0; request < 5; request++)
        {
            // The next one is asked for when the last one begins to come in: a round trip too late, less its own length.
            int asked = request * 100;
            var lease = new DeliveryLease(request, source, 0, 20_000, Milliseconds(asked));
            source.Asked(lease);
            source.Asked(new DeliveryLease(100 + request, source, 0, 1, Milliseconds(asked)));
            for (int i = 1; i <= 20; i++)
            {
                source.Progressed(lease, 1000, Milliseconds(asked + 100 + i));
                lease.ReceivedEnd += 1000;
            }

            source.Leases.Remove(lease);
        }

        Assert.Equal(1e6, source.Rate.BytesPerSecond, 1e5);
    }

    private static void Arrive(RateEstimate rate, int from, int milliseconds, long bytesPerMillisecond)
    {
        for (int i = 1; i <= milliseconds; i++)
        {
            rate.Arrived(bytesPerMillisecond, Milliseconds(from + i));
        }
    }

    private static TimeSpan Milliseconds(double value) => TimeSpan.FromMilliseconds(value);
}
