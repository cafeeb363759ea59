using Kwik.Data;
using Kwik.Sessions;
using Kwik.Streams;
using Kwik.Testing;

namespace Kwik.Session.Tests.Simulated;

/// <summary>A run is explained by what <see cref="KwikStream.Delivery"/> tells of it.</summary>
public sealed class DeliveryTraceTests
{
    private const string Name = "secondary 1";

    [Fact]
    public void Delivery_OfARunInWhichAServerIsSilentForAWhile_TellsWhoWasAskedForWhatAndWhy() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 24 * 1024 * 1024);
        await using var deployment = new SimulatedDeployment(world);
        SecondaryServer secondary = await deployment.StartSecondaryAsync(Name, content.Replica());
        foreach (SimulatedHost server in new[] { deployment.PrimaryHost, world.Host(Name) })
        {
            world.SetLinks(deployment.ClientHost, server, link => link.BitsPerSecond = 20_000_000);
        }

        await deployment.StartPrimaryAsync(content, async session =>
        {
            await session.AddPathAsync(secondary);
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        KwikStream stream = await session.AcceptStream();
        var told = new List<DeliveryEvent>();
        _ = stream.Delivery;
        Task<byte[]> reading = stream.ReadToEndAsync();
        await world.Delay(TimeSpan.FromSeconds(1));
        world.SetLinks(deployment.ClientHost, world.Host(Name), link => link.BlackHole = true);
        // Shorter than it takes for its path to be lost.
        await world.Delay(TimeSpan.FromMilliseconds(500));
        world.SetLinks(deployment.ClientHost, world.Host(Name), link => link.BlackHole = false);
        Assert.True(content.Is(await reading));
        await stream.DisposeAsync();
        while (stream.Delivery.TryRead(out DeliveryEvent? decided))
        {
            told.Add(decided);
        }

        Assert.True(told.Zip(told.Skip(1)).All(pair => pair.First.At <= pair.Second.At));
        List<DeliveryStep> steps = told.ConvertAll(decided => decided.Step);
        Assert.Equal(
            [DeliveryStepKind.Suspect, DeliveryStepKind.Dead, DeliveryStepKind.Back],
            steps.Where(step => step is { Source: 1, Kind: DeliveryStepKind.Suspect or DeliveryStepKind.Dead or DeliveryStepKind.Back })
                .Select(step => step.Kind).Distinct());
        // What the reader waited for was asked elsewhere before the server was given up, and its lease ended for that.
        int suspected = steps.FindIndex(step => step.Kind == DeliveryStepKind.Suspect);
        Assert.Contains(steps.Skip(suspected), step => step is { Kind: DeliveryStepKind.Ask, Source: 0, Reason: LeaseReason.Hedge });
        Assert.Contains(steps.Skip(suspected), step => step is { Kind: DeliveryStepKind.Cancel, Source: 1, Why: LeaseEnd.Superseded });
        Assert.All(steps.Skip(20).Where(step => step.Kind == DeliveryStepKind.Ask), step =>
        {
            // Bytes a second: 20 Mbit/s and what the estimate is off by.
            Assert.InRange(step.Rate, 500_000, 5_000_000);
            Assert.True(step.RoundTrip > TimeSpan.Zero && step.Outstanding >= step.End - step.Offset);
        });
        // Every byte was asked of somebody.
        var asked = new RangeSet();
        steps.FindAll(step => step.Kind == DeliveryStepKind.Ask).ForEach(step => asked.Add(step.Offset, step.End));
        Assert.Equal(content.Offer.Length, asked.Count);
        await Assert.ThrowsAsync<System.Threading.Channels.ChannelClosedException>(async () => await stream.Delivery.ReadAsync());
    });

    [Fact]
    public void Delivery_ThatNobodyAskedForInTime_IsEmptyAndEnds() => Simulation.Run(1, async world =>
    {
        var content = MemoryContent.Random(1, 1000);
        await using var deployment = new SimulatedDeployment(world);
        await deployment.StartPrimaryAsync(content, async session =>
        {
            await using KwikStream stream = await session.OpenStreamSync();
            await stream.OfferContentAsync(content.Offer);
            await session.Closed;
        });

        await using ClientSession session = await deployment.ConnectAsync();
        KwikStream stream = await session.AcceptStream();
        Assert.True(content.Is(await stream.ReadToEndAsync()));
        await stream.DisposeAsync();
        Assert.False(stream.Delivery.TryRead(out _));
        Assert.True(stream.Delivery.Completion.IsCompleted);
    });
}
