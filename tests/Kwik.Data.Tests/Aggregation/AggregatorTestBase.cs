namespace Kwik.Data.Tests;

/// <summary>An aggregator, and pieces as text.</summary>
public abstract class AggregatorTestBase
{
    private protected const int Window = 64 * 1024;

    private protected LeasePool Pool { get; } = new();

    private protected OffsetAggregator Create(ConflictResolution resolution = ConflictResolution.FirstWins, int maxGaps = 1000) =>
        new(new AggregatorOptions { MaxPendingBytes = Window, MaxGaps = maxGaps, ConflictResolution = resolution }, Pool);

    private protected AcceptResult Accept(OffsetAggregator aggregator, int source, long offset, string text) =>
        Accept(aggregator, source, offset, System.Text.Encoding.ASCII.GetBytes(text));

    private protected AcceptResult Accept(OffsetAggregator aggregator, int source, long offset, byte[] bytes)
    {
        Lease lease = Pool.Rent(bytes.Length);
        bytes.CopyTo(lease.Free.Span);
        lease.Extend(bytes.Length);
        return aggregator.Accept(source, offset, lease);
    }

    private protected static string TakeText(OffsetAggregator aggregator)
    {
        Lease lease = aggregator.TakeNext()!;
        string text = System.Text.Encoding.ASCII.GetString(lease.Span);
        lease.Return();
        return text;
    }

    private protected static string TakeAllText(OffsetAggregator aggregator)
    {
        string text = "";
        while (aggregator.CanTake)
        {
            text += TakeText(aggregator);
        }

        return text;
    }

    private protected void Clear(OffsetAggregator aggregator)
    {
        aggregator.Clear();
        Assert.Equal(0, Pool.Outstanding);
    }
}
