using FsCheck;
using FsCheck.Fluent;

namespace Kwik.Data.Tests;

/// <summary>The aggregator against <see cref="AggregatorModel"/>: every step of every run agrees, and no lease is lost.</summary>
public sealed class OffsetAggregatorModelTests
{
    private const int MaxPiece = 24;
    private const int MaxSteps = 50;

    // Small blocks are never left behind at this scale; large ones, and both together, at the other.
    private const int LargeScale = 397;

    private readonly LeasePool _pool = new();

    [Fact]
    public void Steps_TenThousandSeeds_AgreeWithTheModel()
    {
        for (int seed = 0; seed < 10_000; seed++)
        {
            Run(seed, scale: 1);
        }
    }

    [Fact]
    public void Steps_OfPiecesUpToAWholeBlock_AgreeWithTheModel()
    {
        for (int seed = 0; seed < 60; seed++)
        {
            Run(seed, LargeScale);
        }
    }

    [Theory]
    [InlineData(ConflictResolution.FirstWins)]
    [InlineData(ConflictResolution.LastWins)]
    [InlineData(ConflictResolution.PrimaryWins)]
    [InlineData(ConflictResolution.Reject)]
    public void Steps_Random_AgreeWithTheModel(ConflictResolution resolution)
    {
        var options = new AggregatorOptions { MaxPendingBytes = 90, MaxGaps = 3, ConflictResolution = resolution };
        Gen<AggregatorStep> steps =
            from kind in Gen.Choose(0, 19)
            from source in Gen.Choose(0, 3)
            from offset in Gen.Choose(-20, 100)
            from length in Gen.Choose(0, MaxPiece)
            from skew in Gen.Choose(-2, 3)
            select Step(kind, source, offset, length, Math.Max(0, skew));
        Property.HoldsForLists(
            steps,
            MaxSteps,
            list => new AggregatorRun(options, liars: 0b1010, SizeFor(options, scale: 1), new LeasePool()).Execute(list));
    }

    [Fact]
    public void Accept_EveryThreePiecesWithinSixBytes_AgreesWithTheModel()
    {
        AggregatorStep[] pieces =
        [
            .. from start in Enumerable.Range(0, 6)
               from length in Enumerable.Range(1, 6 - start)
               select new AggregatorStep(AggregatorStepKind.Accept, Offset: start, Length: length),
        ];
        foreach (ConflictResolution resolution in Enum.GetValues<ConflictResolution>())
        {
            var options = new AggregatorOptions { MaxPendingBytes = 64, ConflictResolution = resolution };
            foreach (AggregatorStep first in pieces)
            {
                foreach (AggregatorStep second in pieces)
                {
                    foreach (AggregatorStep third in pieces)
                    {
                        // Source 1 tells the truth; 2 and the primary do not.
                        new AggregatorRun(options, liars: 0b101, size: 8, _pool).Execute(
                            [first with { Source = 1 }, second with { Source = 2 }, third with { Source = 0 }]);
                    }
                }
            }
        }
    }

    private static int SizeFor(AggregatorOptions options, int scale) =>
        (int)options.MaxPendingBytes + ((MaxSteps + 1) * MaxPiece * scale) + (200 * scale);

    private static AggregatorStep Step(int kind, int source, int offset, int length, int skew) => kind switch
    {
        < 14 => new(AggregatorStepKind.Accept, source, offset, length, skew),
        < 17 => new(AggregatorStepKind.Take),
        < 18 => new(AggregatorStepKind.ReturnTaken),
        < 19 => new(AggregatorStepKind.Accept, source, 0, length, skew),
        _ => new(AggregatorStepKind.SetFinalSize, Offset: offset),
    };

    private void Run(int seed, int scale)
    {
        var random = new Random(seed);
        var options = new AggregatorOptions
        {
            MaxPendingBytes = random.Next(20, 160) * scale,
            MaxGaps = random.Next(1, 8),
            ConflictResolution = (ConflictResolution)random.Next(4),
        };
        int liars = random.Next(3) == 0 ? random.Next(16) : 0;
        var steps = new AggregatorStep[random.Next(1, MaxSteps)];
        for (int i = 0; i < steps.Length; i++)
        {
            steps[i] = Step(
                random.Next(20),
                random.Next(4),
                random.Next(-20 * scale, (int)options.MaxPendingBytes + (10 * scale)),
                random.Next(0, MaxPiece * scale),
                random.Next(4) == 0 ? random.Next(200) : 0);
        }

        try
        {
            new AggregatorRun(options, liars, SizeFor(options, scale), _pool).Execute(steps);
        }
        catch (Exception e)
        {
            Assert.Fail($"Seed {seed}, scale {scale}: {e}");
        }
    }
}
